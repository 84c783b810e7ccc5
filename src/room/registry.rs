//! The map of running rooms: the one mutex of the control path.

use crate::id::RoomId;
use crate::layout::LayoutKind;
use crate::topology::Mode;

use super::{JoinRequest, Joined, RoomError, RoomHandle};

/// The rooms of a server. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Registry {}

impl Registry {
    /// Joins a room, making it if it is not there.
    pub async fn join(
        &self,
        _room: &RoomId,
        _request: JoinRequest,
    ) -> Result<(RoomHandle, Joined), RoomError> {
        Err(RoomError::Closed)
    }
    /// Makes a room that stays until it is closed, people in it or not.
    pub async fn create(
        &self,
        _room: &RoomId,
        _mode: Option<Mode>,
        _layout: Option<LayoutKind>,
    ) -> Result<RoomHandle, RoomError> {
        Err(RoomError::Closed)
    }
    /// The room of that id, if it runs.
    pub fn get(&self, _room: &RoomId) -> Option<RoomHandle> {
        None
    }
    /// Every running room.
    pub fn list(&self) -> Vec<RoomHandle> {
        Vec::new()
    }
    /// Refuses joins from now on, says `bye` to everybody and returns when all media is torn down.
    pub async fn shutdown(&self) {}
}
