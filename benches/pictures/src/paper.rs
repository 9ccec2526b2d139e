//! What pictures are drawn on: an SVG of plotters, in coordinates of pixels, with the colours of a theme.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Colours for light and for dark surroundings.
#[derive(Clone, Copy)]
pub struct Theme {
    /// In the names of files.
    pub name: &'static str,
    paper: RGBColor,
    pub ink: RGBColor,
    pub faint: RGBColor,
    pub grid: RGBColor,
    /// Ours.
    pub blue: RGBColor,
    pub green: RGBColor,
    /// Others'.
    pub orange: RGBColor,
    pub purple: RGBColor,
    pub grey: RGBColor,
}

pub const THEMES: [Theme; 2] = [
    Theme {
        name: "light",
        paper: RGBColor(255, 255, 255),
        ink: RGBColor(31, 35, 40),
        faint: RGBColor(89, 99, 110),
        grid: RGBColor(221, 226, 231),
        blue: RGBColor(9, 105, 218),
        green: RGBColor(26, 127, 55),
        orange: RGBColor(188, 76, 0),
        purple: RGBColor(130, 80, 223),
        grey: RGBColor(140, 149, 159),
    },
    Theme {
        name: "dark",
        paper: RGBColor(13, 17, 23),
        ink: RGBColor(230, 237, 243),
        faint: RGBColor(157, 167, 179),
        grid: RGBColor(41, 48, 57),
        blue: RGBColor(88, 166, 255),
        green: RGBColor(63, 185, 80),
        orange: RGBColor(240, 136, 62),
        purple: RGBColor(188, 140, 255),
        grey: RGBColor(118, 131, 144),
    },
];

/// Where a text lies of its point.
#[derive(Clone, Copy)]
pub enum Align {
    Left,
    Middle,
    Right,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A picture that is being drawn.
pub struct Paper<'a> {
    area: Area<'a>,
    pub theme: Theme,
}

/// Pixels of a text, about: no font is asked, since none is sure to be there.
pub fn width(text: &str, size: f64) -> f64 {
    0.56 * size * text.chars().count() as f64
}

const DRAWN: &str = "an SVG in memory takes all that is drawn";

impl<'a> Paper<'a> {
    pub fn new(svg: &'a mut String, size: (u32, u32), theme: Theme) -> Self {
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        area.fill(&theme.paper).expect(DRAWN);
        Paper { area, theme }
    }

    pub fn text(&self, at: (f64, f64), text: &str, size: f64, color: RGBColor, align: Align) {
        let across = match align {
            Align::Left => HPos::Left,
            Align::Middle => HPos::Center,
            Align::Right => HPos::Right,
        };
        // plotters' size of a font is the height of a line.
        let style = ("sans-serif", size * 1.24).into_font().color(&color);
        let style = style.pos(Pos::new(across, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), whole(at), style)).expect(DRAWN);
    }

    /// The two lines above every picture.
    pub fn title(&self, title: &str, under: &str) {
        self.text((16.0, 22.0), title, 15.0, self.theme.ink, Align::Left);
        self.text((16.0, 42.0), under, 11.0, self.theme.faint, Align::Left);
    }

    pub fn line(&self, points: &[(f64, f64)], color: RGBColor, width: u32) {
        let points: Vec<_> = points.iter().map(|&p| whole(p)).collect();
        self.area.draw(&PathElement::new(points, color.stroke_width(width))).expect(DRAWN);
    }

    pub fn bar(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) {
        self.area.draw(&Rectangle::new([whole(from), whole(to)], color.filled())).expect(DRAWN);
    }

    pub fn dot(&self, at: (f64, f64), radius: u32, color: RGBColor) {
        self.area.draw(&Circle::new(whole(at), radius, color.filled())).expect(DRAWN);
    }

    pub fn square(&self, (x, y): (f64, f64), radius: f64, color: RGBColor) {
        self.bar((x - radius, y - radius), (x + radius, y + radius), color);
    }
}

fn whole((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

/// From numbers to pixels, linearly or by logarithms.
#[derive(Clone, Copy)]
pub struct Axis {
    from: f64,
    to: f64,
    pixels: (f64, f64),
    log: bool,
}

impl Axis {
    pub fn log(from: f64, to: f64, pixels: (f64, f64)) -> Axis {
        Axis { from: from.ln(), to: to.ln(), pixels, log: true }
    }

    pub fn linear(from: f64, to: f64, pixels: (f64, f64)) -> Axis {
        Axis { from, to, pixels, log: false }
    }

    pub fn at(&self, x: f64) -> f64 {
        let x = if self.log { x.ln() } else { x };
        let (start, end) = self.pixels;
        start + (end - start) * (x - self.from) / (self.to - self.from)
    }
}

/// A number in as few digits as tell it.
pub fn short(x: f64) -> String {
    match x {
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 10.0 => format!("{x:.1}"),
        x => format!("{x:.2}"),
    }
}
