//! Curves as SVG: one line or several over a shared axis, drawn by plotters.

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

/// One curve.
pub(super) struct Curve {
    /// Name in the legend.
    pub name: &'static str,
    /// Points in rising order of x.
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

/// Draws a chart; empty if there is nothing to draw.
pub(super) fn svg(chart: &Chart) -> String {
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
            curves(builder.build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())?, chart, x)
        }
        (true, false) => curves(builder.build_cartesian_2d((x.0..x.1).log_scale(), y.0..y.1)?, chart, x),
        (false, true) => curves(builder.build_cartesian_2d(x.0..x.1, (y.0..y.1).log_scale())?, chart, x),
        (false, false) => curves(builder.build_cartesian_2d(x.0..x.1, y.0..y.1)?, chart, x),
    }?;
    root.present()?;
    Ok(())
}

fn curves<'a, X, Y>(
    mut context: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    chart: &Chart,
    x: (f64, f64),
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64> + 'a,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64> + 'a,
{
    let grey = RGBColor(225, 225, 225);
    context
        .configure_mesh()
        .x_desc(chart.x)
        .y_desc(chart.y)
        .x_label_formatter(&|value| (chart.x_label)(*value))
        .y_label_formatter(&|value| (chart.y_label)(*value))
        .bold_line_style(grey)
        .light_line_style(WHITE)
        .label_style(("sans-serif", 14))
        .draw()?;
    for curve in &chart.curves {
        let style = curve.colour.stroke_width(2);
        let colour = curve.colour;
        context
            .draw_series(LineSeries::new(curve.points.iter().copied(), style))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
        context.draw_series(curve.points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    if let Some((bound, words)) = &chart.bound {
        let red = RGBColor(190, 30, 45);
        context
            .draw_series(DashedLineSeries::new([(x.0, *bound), (x.1, *bound)], 6, 4, red.stroke_width(1)))?
            .label(words.as_str())
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], red));
    }
    context
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(grey)
        .label_font(("sans-serif", 13))
        .draw()?;
    Ok(())
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
