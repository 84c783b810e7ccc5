//! What holds for every canvas, every number of people and every picture.

use proptest::prelude::*;
use tessera::layout::{
    Fit, LayoutKind, MAX_BESIDE_SCREEN, MAX_GRID, MAX_STRIP, Rect, Size, fit, tiles,
};

fn canvas() -> impl Strategy<Value = Size> {
    let size = |width, height| Size { width, height };
    prop_oneof![
        Just(size(1280, 720)),
        Just(size(1920, 1080)),
        Just(size(720, 1280)),
        Just(size(640, 480)),
        Just(size(320, 180)),
        Just(size(180, 320)),
        (160u32..2000, 160u32..2000).prop_map(move |(w, h)| size(w, h)),
    ]
}

/// Canvases that a screen may have. On a more slender one a single person in the strip can be as
/// wide as the canvas, and as large as the one in the spotlight.
fn usual_canvas() -> impl Strategy<Value = Size> {
    canvas().prop_filter("too slender", |canvas| {
        let (long, short) = long_and_short(*canvas);
        long * 10 <= short * 22
    })
}

fn kind() -> impl Strategy<Value = LayoutKind> {
    prop_oneof![Just(LayoutKind::Grid), Just(LayoutKind::Spotlight)]
}

fn any_fit() -> impl Strategy<Value = Fit> {
    prop_oneof![Just(Fit::Contain), Just(Fit::Cover)]
}

fn area(rect: Rect) -> u64 {
    u64::from(rect.w) * u64::from(rect.h)
}

fn overlap(a: Rect, b: Rect) -> bool {
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

fn is_even(rect: Rect) -> bool {
    [rect.x, rect.y, rect.w, rect.h].iter().all(|n| n % 2 == 0)
}

fn long_and_short(canvas: Size) -> (u64, u64) {
    let (w, h) = (u64::from(canvas.width), u64::from(canvas.height));
    (w.max(h), w.min(h))
}

/// The largest even tile within a pixel of the proportions, by trying every size there is.
fn largest_by_trial(canvas: Size, people: u64) -> u64 {
    let (long, short) = long_and_short(canvas);
    let mut best = 0;
    for columns in 1..=people {
        let (cell_w, cell_h) = (
            u64::from(canvas.width & !1) / columns,
            u64::from(canvas.height & !1) / people.div_ceil(columns),
        );
        for w in (2..=cell_w).step_by(2) {
            let exact = w * short / long;
            for h in [exact & !1, (exact & !1) + 2] {
                let within = (h * long).abs_diff(w * short) <= short;
                if h <= cell_h && within {
                    best = best.max(w * h);
                }
            }
        }
    }
    best
}

proptest! {
    #[test]
    fn tiles_are_even_inside_and_apart(
        canvas in canvas(), kind in kind(), people in 0usize..40, spotlit in proptest::option::of(0usize..40),
    ) {
        let all = tiles(canvas, kind, people, spotlit);
        prop_assert_eq!(all.len(), people);
        let shown: Vec<Rect> = all.iter().copied().flatten().collect();
        for (i, &tile) in shown.iter().enumerate() {
            prop_assert!(is_even(tile), "{tile:?}");
            prop_assert!(tile.w >= 2 && tile.h >= 2, "{tile:?}");
            prop_assert!(tile.x + tile.w <= canvas.width && tile.y + tile.h <= canvas.height, "{tile:?}");
            for &other in &shown[i + 1..] {
                prop_assert!(!overlap(tile, other), "{tile:?} over {other:?}");
            }
        }
    }

    #[test]
    fn the_grid_is_as_large_as_can_be(canvas in canvas(), people in 1usize..=25) {
        let all = tiles(canvas, LayoutKind::Grid, people, None);
        let first = all[0].expect("the first person is shown");
        prop_assert!(area(first) >= largest_by_trial(canvas, people as u64), "{first:?}");
        let (long, short) = long_and_short(canvas);
        let error = (u64::from(first.h) * long).abs_diff(u64::from(first.w) * short);
        prop_assert!(error <= 2 * long, "proportions of {first:?}");
    }

    #[test]
    fn the_grid_is_equal_ordered_and_centred(canvas in canvas(), people in 1usize..40) {
        let all = tiles(canvas, LayoutKind::Grid, people, None);
        let shown: Vec<Rect> = all.iter().copied().map_while(|tile| tile).collect();
        prop_assert_eq!(shown.len(), people.min(MAX_GRID));
        prop_assert!(all[shown.len()..].iter().all(Option::is_none));
        let size = (shown[0].w, shown[0].h);
        prop_assert!(shown.iter().all(|tile| (tile.w, tile.h) == size));
        prop_assert!(shown.is_sorted_by(|a, b| (a.y, a.x) < (b.y, b.x)), "order of reading");
        for row in shown.chunk_by(|a, b| a.y == b.y) {
            let right = canvas.width - (row[row.len() - 1].x + size.0);
            prop_assert!(row[0].x.abs_diff(right) <= 3, "row not centred: {row:?}");
            prop_assert!(row.windows(2).all(|pair| pair[0].x + size.0 == pair[1].x), "gap: {row:?}");
        }
        let bottom = canvas.height - (shown[shown.len() - 1].y + size.1);
        prop_assert!(shown[0].y.abs_diff(bottom) <= 3, "rows not centred");
    }

    #[test]
    fn more_people_never_have_larger_tiles(canvas in canvas(), kind in kind(), people in 1usize..30) {
        let smallest = |n| {
            let all = tiles(canvas, kind, n, None);
            all.into_iter().flatten().map(area).min().unwrap_or(0)
        };
        prop_assert!(smallest(people + 1) <= smallest(people));
    }

    #[test]
    fn a_shared_screen_has_half_of_a_grid(
        canvas in usual_canvas(), people in 2usize..30, screen in 0usize..30,
    ) {
        let all = tiles(canvas, LayoutKind::Grid, people, Some(screen));
        if screen >= people {
            prop_assert_eq!(all, tiles(canvas, LayoutKind::Grid, people, None));
            return Ok(());
        }
        let large = all[screen].expect("the screen is shown");
        let whole = u64::from(canvas.width & !1) * u64::from(canvas.height & !1);
        if canvas.width >= canvas.height {
            prop_assert!(2 * area(large) >= whole, "{large:?}");
        }
        let beside = (0..people).filter(|i| *i != screen).filter_map(|i| all[i]);
        let beside: Vec<Rect> = beside.collect();
        prop_assert_eq!(beside.len(), MAX_BESIDE_SCREEN.min(people - 1));
        prop_assert!(beside.iter().all(|small| area(*small) < area(large)));
    }

    #[test]
    fn the_spotlit_person_stands_out(canvas in usual_canvas(), people in 2usize..30, spotlit in 0usize..40) {
        let all = tiles(canvas, LayoutKind::Spotlight, people, Some(spotlit));
        let star = if spotlit < people { spotlit } else { 0 };
        let large = all[star].expect("the spotlit person is shown");
        let others: Vec<Option<Rect>> =
            (0..people).filter(|&i| i != star).map(|i| all[i]).collect();
        let shown: Vec<Rect> = others.iter().copied().map_while(|tile| tile).collect();
        prop_assert_eq!(shown.len(), MAX_STRIP.min(people - 1));
        prop_assert!(others[shown.len()..].iter().all(Option::is_none));
        prop_assert!(shown.is_sorted_by(|a, b| (a.y, a.x) < (b.y, b.x)), "order of reading");
        for small in shown {
            prop_assert!(area(small) < area(large));
            prop_assert_eq!((small.w, small.h), others[0].map_or((0, 0), |tile| (tile.w, tile.h)));
            if canvas.width >= canvas.height {
                prop_assert!(small.x >= large.x + large.w, "the strip is on the right");
            } else {
                prop_assert!(small.y >= large.y + large.h, "the strip is at the bottom");
            }
        }
    }

    #[test]
    fn a_picture_stays_in_its_tile_and_in_proportion(
        (sw, sh) in (1u32..4000, 1u32..4000), (tw, th) in (1u32..1000, 1u32..1000), how in any_fit(),
    ) {
        let source = Size { width: sw, height: sh };
        let tile = Size { width: (tw * 2).max(16), height: (th * 2).max(16) };
        let p = fit(source, tile, how);
        prop_assert!([p.scaled.width, p.scaled.height, p.x, p.y, p.crop.x, p.crop.y].iter().all(|n| n % 2 == 0));
        prop_assert!(p.scaled.width >= 2 && p.scaled.height >= 2 && p.crop.w >= 1 && p.crop.h >= 1);
        prop_assert!(p.x + p.scaled.width <= tile.width && p.y + p.scaled.height <= tile.height);
        prop_assert!(p.crop.x + p.crop.w <= sw && p.crop.y + p.crop.h <= sh);
        prop_assert!(p.x.abs_diff(tile.width - p.scaled.width - p.x) <= 2, "centred");
        prop_assert!(p.y.abs_diff(tile.height - p.scaled.height - p.y) <= 2, "centred");
        match how {
            Fit::Contain => {
                prop_assert_eq!((p.crop.w, p.crop.h), (sw, sh));
                prop_assert!(p.scaled.width == tile.width || p.scaled.height == tile.height);
            }
            Fit::Cover => {
                prop_assert_eq!(p.scaled, tile);
                prop_assert!(p.crop.w == sw || p.crop.h == sh);
                prop_assert!(p.crop.x.abs_diff(sw - p.crop.w - p.crop.x) <= 3, "centred");
                prop_assert!(p.crop.y.abs_diff(sh - p.crop.h - p.crop.y) <= 3, "centred");
            }
        }
        // One pixel of rounding in the dimension that was computed; two where 2 is the least.
        let (cw, ch) = (f64::from(p.crop.w), f64::from(p.crop.h));
        let (w, h) = (f64::from(p.scaled.width), f64::from(p.scaled.height));
        let in_target = (h - w * ch / cw).abs().min((w - h * cw / ch).abs());
        let in_source = (ch - cw * h / w).abs().min((cw - ch * w / h).abs());
        prop_assert!(in_target.min(in_source) <= 2.0, "{p:?}");
    }

    #[test]
    fn any_numbers_are_survived(
        (w, h) in (0u32..20_000, 0u32..20_000), (sw, sh) in (any::<u32>(), any::<u32>()),
        kind in kind(), how in any_fit(), people in 0usize..30,
    ) {
        let canvas = Size { width: w, height: h };
        for tile in tiles(canvas, kind, people, Some(people)).into_iter().flatten() {
            prop_assert!(is_even(tile) && area(tile) > 0);
        }
        fit(Size { width: sw, height: sh }, canvas, how);
        fit(canvas, Size { width: sw, height: sh }, how);
    }
}
