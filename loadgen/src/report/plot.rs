//! Curves as SVG: one line or several over a shared axis, drawn by plotters.

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

/// One curve.
pub(super) struct Curve {
    /// Name in the legend.
    pub name: &'static str,
    /// Points in rising order of x. Of several at one x the line goes through the last, the others are dots beside it.
    pub points: Vec<(f64, f64)>,
    /// Colour.
    pub colour: RGBColor,
}

/// A chart: curves over a common axis and a bound drawn across.
pub(super) struct Chart {
    /// Title of the x axis.
    pub x: &'static str,
    /// Title of the y axis.
    pub y: &'static str,
    /// Curves.
    pub curves: Vec<Curve>,
    /// The service level's bound, and its words.
    pub bound: Option<(f64, String)>,
    /// A stretch of the x axis that is shaded, and its words.
    pub band: Option<(f64, f64, String)>,
    /// Logarithmic axes, for rates and latencies that span decades.
    pub log_x: bool,
    /// See `log_x`.
    pub log_y: bool,
    /// How an x is written.
    pub x_label: fn(f64) -> String,
    /// How a y is written.
    pub y_label: fn(f64) -> String,
}

const SIZE: (u32, u32) = (900, 380);
const BOUND: RGBColor = RGBColor(190, 30, 45);
const BAND: RGBColor = RGBColor(250, 236, 205);

/// A chart with its legend above, where it covers nothing; empty if there is nothing to draw.
pub(super) fn figure(chart: &Chart) -> String {
    let colour = |RGBColor(r, g, b): RGBColor| format!("rgb({r},{g},{b})");
    let entry = |colour: String, line: &str, name: &str| {
        format!("<span><i style=\"border-top:2px {line} {colour}\"></i>{name}</span>")
    };
    let curves = chart.curves.iter().map(|curve| entry(colour(curve.colour), "solid", curve.name));
    let bound = chart.bound.iter().map(|(_, words)| entry(colour(BOUND), "dashed", words));
    let band = chart.band.iter().map(|(_, _, words)| {
        let shade = format!("height:.8em;background:{}", colour(BAND));
        format!("<span><i style=\"{shade}\"></i>{words}</span>")
    });
    format!("<p class=\"legend\">{}</p>{}", curves.chain(bound).chain(band).collect::<String>(), svg(chart))
}

fn svg(chart: &Chart) -> String {
    let mut text = String::new();
    let points = || chart.curves.iter().flat_map(|curve| &curve.points);
    if points().count() == 0 {
        return text;
    }
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(&root, chart).expect("drawing into a string cannot fail");
    }
    text
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw<'a>(root: &DrawingArea<SVGBackend<'a>, Shift>, chart: &Chart) -> Drawn {
    root.fill(&WHITE)?;
    let xs: Vec<_> = chart.curves.iter().flat_map(|curve| &curve.points).map(|point| point.0).collect();
    let bound = chart.bound.iter().map(|bound| bound.0);
    let ys: Vec<_> =
        chart.curves.iter().flat_map(|curve| &curve.points).map(|point| point.1).chain(bound).collect();
    let (x, y) = (span(&xs, chart.log_x), span(&ys, chart.log_y));
    let mut builder = ChartBuilder::on(root);
    builder.margin(12).x_label_area_size(44).y_label_area_size(76);
    // The axis kinds are types, hence the four arms.
    match (chart.log_x, chart.log_y) {
        (true, true) => {
            curves(builder.build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())?, chart, x, y)
        }
        (true, false) => curves(builder.build_cartesian_2d((x.0..x.1).log_scale(), y.0..y.1)?, chart, x, y),
        (false, true) => curves(builder.build_cartesian_2d(x.0..x.1, (y.0..y.1).log_scale())?, chart, x, y),
        (false, false) => curves(builder.build_cartesian_2d(x.0..x.1, y.0..y.1)?, chart, x, y),
    }?;
    root.present()?;
    Ok(())
}

fn curves<'a, X, Y>(
    mut context: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    chart: &Chart,
    x: (f64, f64),
    y: (f64, f64),
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64> + 'a,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64> + 'a,
{
    let grey = RGBColor(225, 225, 225);
    if let Some((from, to, _)) = chart.band {
        let corners = [(from.max(x.0), y.0), (to.min(x.1), y.1)];
        context.draw_series([Rectangle::new(corners, BAND.filled())])?;
    }
    context
        .configure_mesh()
        .x_desc(chart.x)
        .y_desc(chart.y)
        .x_label_formatter(&|value| (chart.x_label)(*value))
        .y_label_formatter(&|value| (chart.y_label)(*value))
        .bold_line_style(grey)
        .light_line_style(WHITE)
        .x_labels(6)
        .y_labels(6)
        .label_style(("sans-serif", 14))
        .draw()?;
    for curve in &chart.curves {
        let style = curve.colour.stroke_width(2);
        context.draw_series(LineSeries::new(line(&curve.points), style))?;
        context
            .draw_series(curve.points.iter().map(|point| Circle::new(*point, 3, curve.colour.filled())))?;
    }
    if let Some((bound, _)) = &chart.bound {
        context.draw_series(DashedLineSeries::new(
            [(x.0, *bound), (x.1, *bound)],
            6,
            4,
            BOUND.stroke_width(1),
        ))?;
    }
    Ok(())
}

/// The last point of each x.
fn line(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let next_x = points.iter().skip(1).map(|point| Some(point.0)).chain([None]);
    points.iter().zip(next_x).filter(|(point, next_x)| Some(point.0) != *next_x).map(|(point, _)| *point)
}

/// The range of an axis, with some air; a logarithmic one stays above 0.
fn span(values: &[f64], log: bool) -> (f64, f64) {
    let usable = values.iter().copied().filter(|value| !log || *value > 0.0);
    let (low, high) = usable
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    match (log, low <= high) {
        (_, false) => (0.1, 1.0),
        (true, true) => (low / 1.25, high * 1.25),
        (false, true) => (0.0, if high > 0.0 { high * 1.1 } else { 1.0 }),
    }
}
