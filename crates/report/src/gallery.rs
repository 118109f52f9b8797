//! What a model says of images: one page of HTML with a thumbnail of each beside its likeliest classes.

use crate::page::{foot, head, thumbnail};
use crate::text::{escape, grouped};

/// An image and what it may show.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Its path or name.
    pub image: String,
    /// A PNG.
    pub thumbnail: Vec<u8>,
    /// The likeliest first.
    pub guesses: Vec<Guess>,
}

/// A class and its probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    pub class: String,
    pub probability: f64,
}

/// The page. `unread` are the images that could not be read, each with the reason.
pub fn gallery(model: &str, pictures: &[Picture], unread: &[(String, String)]) -> String {
    let title = format!("{} images by {model}", grouped(pictures.len() as u64));
    let mut page = head(&title);
    page += &format!("<header><h1>{}</h1></header>\n", escape(&title));
    for (name, reason) in unread {
        // The reason begins with the name, as a rule.
        let text = if reason.contains(name) { reason.clone() } else { format!("{name}: {reason}") };
        page += &format!("<p class=\"note\">{}</p>\n", escape(&text));
    }
    page += "<div class=\"gallery\">\n";
    for picture in pictures {
        page += &figure(picture);
    }
    page += "</div>\n";
    page + &foot("Written by trickbag. The bars are the probabilities of the likeliest classes.")
}

fn figure(Picture { image, thumbnail: png, guesses }: &Picture) -> String {
    let mut html = format!(
        "<figure title=\"{name}\">{}<figcaption><div class=\"soft\">{name}</div>\n<div class=\"bars\">\n",
        thumbnail(png),
        name = escape(image),
    );
    for Guess { class, probability } in guesses {
        let percent = 100.0 * probability;
        html += &format!(
            "<div class=\"name\">{}</div><div class=\"bar\"><i style=\"width:{percent:.1}%\"></i></div>\
             <div class=\"number\">{percent:.1} %</div>\n",
            escape(class)
        );
    }
    html + "</div></figcaption></figure>\n"
}
