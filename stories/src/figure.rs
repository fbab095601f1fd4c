//! Figures: what was measured beside what was expected, as SVG drawn by plotters.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde::Serialize;

use crate::error::StoryError;

/// A chart of curves over common axes that begin at 0.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its file is called this and `.svg`.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// What the x axis means, with its unit.
    pub x: &'static str,
    /// What the y axis means, with its unit.
    pub y: &'static str,
    /// Curves, drawn in this order.
    pub curves: Vec<Curve>,
}

/// One curve of a [`Figure`].
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// Name in the legend.
    pub name: String,
    /// How it is drawn.
    pub marks: Marks,
    /// Points in rising order of x.
    pub points: Vec<(f64, f64)>,
}

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Marks {
    /// Measured: a line through dots.
    Dots,
    /// Expected: a dashed line.
    Dashes,
}

const SIZE: (u32, u32) = (900, 420);
const LEGEND_WIDTH: i32 = 230;
const LEGEND_TOP: i32 = 60;
const LEGEND_LINE: i32 = 24;
const EXPECTED: RGBColor = RGBColor(90, 90, 90);
/// Told apart by people who do not see all colours (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

impl Figure {
    /// Writes it into `folder`.
    ///
    /// # Errors
    /// When there is nothing to draw, or the file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), StoryError> {
        let path = folder.join(format!("{}.svg", self.name));
        let svg = self
            .svg()
            .map_err(|reason| StoryError::Figure { path: path.clone(), reason: reason.to_string() })?;
        std::fs::write(&path, svg).map_err(|source| StoryError::File { path, source })
    }

    fn svg(&self) -> Result<String, Box<dyn std::error::Error>> {
        let mut text = String::new();
        {
            let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
            root.fill(&WHITE)?;
            let (chart, legend) = root.split_horizontally(SIZE.0 as i32 - LEGEND_WIDTH);
            self.draw(&chart)?;
            self.legend(&legend)?;
            root.present()?;
        }
        Ok(text)
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let end = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max) * 1.08;
        let (x_end, y_end) =
            (end(&mut points().map(|point| point.0)), end(&mut points().map(|point| point.1)));
        if x_end <= 0.0 {
            return Err("it has no points".into());
        }
        let y_end = if y_end > 0.0 { y_end } else { 1.0 };
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .caption(&self.title, ("sans-serif", 17))
            .x_label_area_size(46)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..x_end, 0.0..y_end)?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|value| axis_label(*value, x_end))
            .y_label_formatter(&|value| axis_label(*value, y_end))
            .x_labels(8)
            .y_labels(7)
            .bold_line_style(RGBColor(225, 225, 225))
            .light_line_style(WHITE)
            .label_style(("sans-serif", 14))
            .draw()?;
        for (index, (curve, colour)) in self.coloured().enumerate() {
            let radius = self.dot_radius(index);
            let points = curve.points.iter().copied();
            match curve.marks {
                Marks::Dashes => {
                    let style = colour.stroke_width(2);
                    chart.draw_series(DashedLineSeries::new(points, 7, 5, style))?;
                }
                Marks::Dots => {
                    chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
                    chart.draw_series(points.map(|point| Circle::new(point, radius, colour.filled())))?;
                }
            }
        }
        Ok(())
    }

    /// Smaller from curve to curve, so that of curves with the same points all are seen.
    fn dot_radius(&self, index: usize) -> f64 {
        3.0 + 1.5 * (self.curves.len() - 1 - index) as f64
    }

    /// Beside the chart, where it covers nothing.
    fn legend(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn std::error::Error>> {
        for (line, (curve, colour)) in self.coloured().enumerate() {
            let y = LEGEND_TOP + LEGEND_LINE * line as i32;
            let style = colour.stroke_width(2);
            match curve.marks {
                Marks::Dashes => {
                    for x in [4, 20] {
                        area.draw(&PathElement::new([(x, y), (x + 10, y)], style))?;
                    }
                }
                Marks::Dots => {
                    area.draw(&PathElement::new([(4, y), (30, y)], style))?;
                    area.draw(&Circle::new((17, y), 4, colour.filled()))?;
                }
            }
            let text = ("sans-serif", 14).into_font().color(&BLACK);
            area.draw(&Text::new(curve.name.clone(), (38, y - 6), text))?;
        }
        Ok(())
    }

    /// Curves with their colours: what was expected is grey.
    fn coloured(&self) -> impl Iterator<Item = (&Curve, RGBColor)> {
        let mut colours = COLOURS.iter().cycle();
        self.curves.iter().map(move |curve| {
            let measured = curve.marks == Marks::Dots;
            (curve, if measured { *colours.next().expect("a cycle has no end") } else { EXPECTED })
        })
    }
}

/// A figure at an axis that ends at `end`: thousands grouped, as many decimals as tell the steps apart.
fn axis_label(value: f64, end: f64) -> String {
    match end {
        1e4.. => format!("{:.0}k", value / 1e3),
        10.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(points: Vec<(f64, f64)>) -> Figure {
        let curve = |name: &str, marks| Curve { name: name.to_owned(), marks, points: points.clone() };
        Figure {
            name: "line",
            title: "A line".to_owned(),
            x: "rate (reads/s)",
            y: "failures (%)",
            curves: vec![curve("expected", Marks::Dashes), curve("measured", Marks::Dots)],
        }
    }

    #[test]
    fn a_figure_names_its_axes_and_curves() {
        let folder = tempfile::tempdir().expect("a folder");
        figure(vec![(20_000.0, 0.0), (80_000.0, 2.25)]).write(folder.path()).expect("written");
        let svg = std::fs::read_to_string(folder.path().join("line.svg")).expect("read");
        for text in ["A line", "rate (reads/s)", "failures (%)", "expected", "measured", "60k"] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = figure(vec![]).write(folder.path()).expect_err("no points").to_string();
        assert!(error.contains("line.svg") && error.contains("no points"), "{error}");
    }
}
