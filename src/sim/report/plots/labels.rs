//! Places for the names of points, so that no name covers another name or a point.
//!
//! Greedy: the names are placed one after the other, each at the first free place on rings of growing
//! distance around its point; a name that moved away is connected to its point by a line.

/// A rectangle on the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Rect {
    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn is_within(&self, frame: &Self) -> bool {
        self.left >= frame.left
            && self.right <= frame.right
            && self.top >= frame.top
            && self.bottom <= frame.bottom
    }
}

/// Half the height of a name.
const HALF: i32 = 9;
/// Half the extent of a marker.
const MARKER: i32 = 8;

/// A rectangle for the name of each point, in the order of the points; `widths` are those of the
/// names and `obstacles` is what else must stay uncovered. A name for which there is no free place
/// within the frame gets none.
pub(super) fn places(
    points: &[(i32, i32)],
    widths: &[i32],
    obstacles: &[Rect],
    frame: Rect,
) -> Vec<Option<Rect>> {
    let markers = points.iter().map(|&(x, y)| Rect {
        left: x - MARKER,
        top: y - MARKER,
        right: x + MARKER,
        bottom: y + MARKER,
    });
    let mut taken: Vec<Rect> = obstacles.iter().copied().chain(markers).collect();
    let mut places = Vec::new();
    for (&point, &width) in points.iter().zip(widths) {
        let place = around(point, width).into_iter().find(|place| {
            place.is_within(&frame) && !taken.iter().any(|other| other.overlaps(place))
        });
        taken.extend(place);
        places.push(place);
    }
    places
}

/// Rectangles around a point, near ones first.
fn around((x, y): (i32, i32), width: i32) -> Vec<Rect> {
    let at = |left: i32, middle: i32| Rect {
        left,
        top: middle - HALF,
        right: left + width,
        bottom: middle + HALF,
    };
    let mut places = Vec::new();
    for ring in 0..16 {
        let away = ring * 14;
        let side = 12 + away / 3;
        for middle in [y - away, y + away] {
            places.extend([at(x + side, middle), at(x - side - width, middle)]);
        }
        let beyond = MARKER + HALF + 1 + away;
        for middle in [y - beyond, y + beyond] {
            places.extend([at(x - width / 2, middle), at(x, middle), at(x - width, middle)]);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Rect = Rect { left: 0, top: 0, right: 800, bottom: 400 };

    #[test]
    fn a_lone_name_stands_right_of_its_point() {
        let place = places(&[(100, 100)], &[60], &[], FRAME)[0].unwrap();
        assert_eq!((place.left, place.top), (112, 91));
    }

    #[test]
    fn a_dozen_names_of_one_point_do_not_cover_each_other() {
        let placed = places(&[(400, 200); 12], &[120; 12], &[], FRAME);
        assert!(placed.iter().all(Option::is_some));
        for a in 0..12 {
            for b in 0..a {
                assert!(!placed[a].unwrap().overlaps(&placed[b].unwrap()));
            }
        }
    }

    #[test]
    fn a_name_keeps_off_obstacles() {
        let line = Rect { left: 90, top: 99, right: 800, bottom: 101 };
        let place = places(&[(100, 100)], &[60], &[line], FRAME)[0].unwrap();
        assert!(!place.overlaps(&line));
    }

    #[test]
    fn a_name_stays_within_the_frame() {
        for point in [(2, 2), (799, 399), (799, 2)] {
            assert!(places(&[point], &[200], &[], FRAME)[0].unwrap().is_within(&FRAME));
        }
        assert_eq!(places(&[(5, 5)], &[900], &[], FRAME), [None]);
    }
}
