//! The style sheet and the icon, which are part of the program.

/// The style sheet of all pages.
pub const STYLE: &str = concat!(include_str!("style.css"), include_str!("code.css"));

/// The icon of all pages, as SVG.
pub const ICON: &str = include_str!("icon.svg");

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Returns the relative luminance of a colour `#rrggbb` (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Returns the colours of a theme by name.
    fn colours(theme: &str) -> BTreeMap<&str, &str> {
        let theme = theme.split('}').next().unwrap();
        theme.split(';').filter_map(|line| line.trim().strip_prefix("--")?.split_once(": ")).collect()
    }

    #[test]
    fn texts_have_enough_contrast_in_both_themes() {
        let mut themes = STYLE.split(":root {").skip(1);
        for theme in [themes.next().unwrap(), themes.next().unwrap()].map(colours) {
            for (text, back) in [
                ("text", "back"),
                ("text", "soft"),
                ("text", "mark"),
                ("dim", "back"),
                ("dim", "soft"),
                ("link", "back"),
                ("link", "soft"),
                ("good", "good-back"),
                ("warn", "warn-back"),
                ("bad", "bad-back"),
            ] {
                let ratio = contrast(theme[text], theme[back]);
                assert!(ratio >= 4.5, "{text} {} on {back} {}: {ratio:.2}", theme[text], theme[back]);
            }
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for text in [STYLE, ICON] {
            assert!(!text.contains("url(") && !text.contains("@import") && !text.contains("href"), "{text}");
        }
    }
}
