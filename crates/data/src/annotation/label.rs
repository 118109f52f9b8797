//! The number of an image's class: no crop, scale or flip changes it.

use super::Annotation;
use crate::resize::Geometry;

impl Annotation for u32 {
    type Prepared = u32;

    fn prepare(&self, _: [usize; 2], _: &Geometry) -> Result<u32, String> {
        Ok(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::Region;

    #[test]
    fn a_label_is_the_same_whatever_becomes_of_the_image() {
        let region = Region { left: 3, top: 0, width: 2, height: 5 };
        let window = Region { left: 0, top: 1, width: 4, height: 2 };
        let geometry = Geometry { region, size: [4, 4], window, mirrored: true };
        assert_eq!(7.prepare([9, 9], &geometry), Ok(7));
    }
}
