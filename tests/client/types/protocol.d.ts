// Written by `make types` from the server's types. Not to be changed by hand.

export type ByeReason = "left" | "server_shutdown" | "room_closed" | "removed" | "replaced" | "connection_failed" | "fingerprint_mismatch" | "too_slow" | "protocol_error" | "internal";
export type Capture = { role: Role, width: number, height: number, fps: number, bitrate: number, layers?: Array<LayerCapture>, };
export type ClientMessage = { "type": "join" } & Join
  | { "type": "candidate", mid: Mid, candidate: string | null, }
  | { "type": "mode", mode: Mode, }
  | { "type": "view", mode: Mode | null, }
  | { "type": "limits" } & Partial<Limits>
  | { "type": "mesh", receiving: Array<ParticipantId>, }
  | { "type": "sizes", pictures: Array<PictureSize>, }
  | { "type": "layout", layout: LayoutKind, }
  | { "type": "mute", role: Role, muted: boolean, }
  | { "type": "pin", participant: ParticipantId | null, }
  | { "type": "chat", text: string, }
  | { "type": "signal", to: ParticipantId, data: unknown, }
  | { "type": "hand", raised: boolean, }
  | { "type": "record" } & Record
  | { "type": "leave" };
export type Codec = "vp8" | "h264" | "vp9" | "opus";
export type Container = "mp4" | "webm" | "ogg";
export type ErrorBody = { error: ErrorDetail, };
export type ErrorCode = "bad_message" | "unsupported_version" | "bad_room_id" | "bad_name" | "unauthorized" | "origin_not_allowed" | "forbidden" | "host_not_allowed" | "not_joined" | "already_joined" | "room_full" | "server_busy" | "shutting_down" | "rate_limited" | "too_large" | "bad_offer" | "too_many_mlines" | "bad_tracks" | "unsupported_codec" | "unsupported_media_type" | "ice_restart_unsupported" | "precondition_failed" | "precondition_required" | "not_found" | "method_not_allowed" | "room_exists" | "mode_unavailable" | "recording_unavailable" | "too_many_recordings" | "recording_goes_on" | "storage_full" | "storage_unusable" | "internal";
export type ErrorDetail = { code: ErrorCode, message: string, };
export type IceServer = { urls: Array<string>, username?: string, credential?: string, };
export type Join = { version: number, room: RoomId, name: string, token: string | null, resume: string | null, view: Mode | null, limits: Partial<Limits>, offer: string, tracks: Array<Track>, };
export type LayerCapture = { rid: Rid, width: number, height: number, bitrate: number, };
export type LayoutKind = "grid" | "spotlight";
export type Level = { participant: ParticipantId, dbov: number, };
export type Limits = { maxBitrate: number | null, maxHeight: number | null, audioOnly: boolean, };
export type LoadReport = { cores_used: number, cores_limit: number | null, memory_bytes: number | null, pressure: Pressure, has_room: PerMode<boolean>, join_costs: PerMode<number>, people: PerMode<number>, };
export type Marker = { at_ms: number, type: MarkerKind, participant: ParticipantId, name: string, };
export type MarkerKind = "join" | "leave" | "speaker";
export type MeasuredPaths = { expected: Paths, measured: Paths, };
export type MeshCandidate = { candidate: string, sdpMid: Mid | null, };
export type MeshDescription = { type: MeshDescriptionKind, sdp: string, };
export type MeshDescriptionKind = "offer" | "answer";
export type MeshSignal = { "description": MeshDescription }
  | { "candidate": MeshCandidate | null }
  | { "done": boolean };
export type Mid = string;
export type Mode = "mcu" | "sfu" | "p2p";
export type ParticipantId = string;
export type ParticipantState = { id: ParticipantId, name: string, speaking: boolean, hand: boolean, mic: UplinkState, camera: UplinkState, screen: UplinkState, viewer: boolean, connected: boolean, view: Mode | null, };
export type Paths = { outside: number, inside: number, };
export type PerMode<T> = { mcu: T, sfu: T, p2p: T, };
export type PictureSize = { participant: ParticipantId, role: Role, height: number, };
export type Pressure = "none" | "frame_rate" | "half_frame_rate" | "size" | "rungs";
export type Record = { "action": "start" } & StartRecording
  | { "action": "stop", recording: RecordingId, };
export type Recording = { id: RecordingId, room: RoomId, kind: RecordingKind, format: Container, state: RecordingStatus, file: string, started: string, ended: string | null, duration_ms: number, bytes: number, size: Size | null, video: VideoCodec | null, audio: SoundCodec | null, participants: Array<string>, reason: string | null, tracks?: Array<TrackFile>, markers?: Array<Marker>, };
export type RecordingId = string;
export type RecordingKind = "composite" | "tracks";
export type RecordingPage = { recordings: Array<Recording>, total: number, offset: number, };
export type RecordingState = { id: RecordingId, kind: RecordingKind, format: Container, };
export type RecordingStatus = "recording" | "finished" | "recovered" | "failed";
export type Rid = string;
export type Role = "mic" | "camera" | "screen" | "mix-audio" | "mix-video" | "forward-audio" | "forward-video";
export type RoomId = string;
export type RoomResource = { id: RoomId, mode: Mode, layout: LayoutKind, canvas: Size, pinned: ParticipantId | null, participants: Array<ParticipantState>, tiles: Array<TileState>, paths: MeasuredPaths, recordings: Array<RecordingState>, };
export type RoomState = { mode: Mode, layout: LayoutKind, canvas: Size, pinned: ParticipantId | null, participants: Array<ParticipantState>, tiles: Array<TileState>, paths: MeasuredPaths, recordings: Array<RecordingState>, };
export type ServerMessage = { "type": "welcome", version: number, participant: ParticipantId, resume: string, ice_servers: Array<IceServer>, }
  | { "type": "answer", sdp: string, }
  | { "type": "candidate", mid: Mid, candidate: string | null, }
  | { "type": "room" } & RoomState
  | { "type": "slots", mode: Mode, slots: Array<SlotState>, }
  | { "type": "uplinks", wanted: boolean, }
  | { "type": "capture" } & Capture
  | { "type": "levels", levels: Array<Level>, }
  | { "type": "chat", from: ParticipantId, text: string, }
  | { "type": "signal", from: ParticipantId, data: unknown, }
  | { "type": "error", code: ErrorCode, message: string, }
  | { "type": "bye", reason: ByeReason, };
export type Size = { width: number, height: number, };
export type SlotState = { mid: Mid, participant: ParticipantId | null, role: Role | null, };
export type SoundCodec = "aac" | "opus";
export type StartRecording = { format?: Container | null, audio?: SoundCodec | null, kind: RecordingKind, };
export type TileState = { participant: ParticipantId, role: Role, x: number, y: number, w: number, h: number, };
export type Track = { mid: Mid, role: Role, };
export type TrackFile = { file: string, participant: ParticipantId, name: string, role: Role, codec: Codec, start_ms: number, bytes: number, };
export type UplinkState = "none" | "muted" | "live" | "stalled";
export type VideoCodec = "h264" | "vp8" | "vp9";
