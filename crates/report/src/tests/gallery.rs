use crate::{Guess, Picture, gallery};

#[test]
fn a_gallery_is_one_page_of_well_formed_xml() {
    let guess = |class: &str, probability| Guess { class: class.into(), probability };
    let picture = |image: &str, thumbnail: &[u8]| Picture {
        image: image.into(),
        thumbnail: thumbnail.to_vec(),
        guesses: vec![guess("<cat> & \"co\"", 0.75), guess("dog", 0.25)],
    };
    let pictures = [picture("a&b.png", &[1, 2, 3]), picture("<c>.jpg", &[])];
    let unread = [("d.gif".to_owned(), "d.gif: not <readable>".to_owned())];
    let page = gallery("resnet50", &pictures, &unread);
    assert_eq!(page, gallery("resnet50", &pictures, &unread));
    let page = page.strip_prefix("<!DOCTYPE html>\n").expect("a page of HTML");
    let document = roxmltree::Document::parse(page).unwrap_or_else(|error| panic!("{error}"));
    let count = |tag: &str| document.descendants().filter(|node| node.has_tag_name(tag)).count();
    assert_eq!((count("figure"), count("img")), (2, 1));
    let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
    for expected in ["a&b.png", "<c>.jpg", "<cat> & \"co\"", "75.0 %", "d.gif: not <readable>"] {
        assert!(texts.contains(&expected), "{expected}: {texts:?}");
    }
}
