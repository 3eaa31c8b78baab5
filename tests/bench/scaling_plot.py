"""A plot of step time against length as an SVG that reads on light and dark pages."""
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 460, 64, 96, 52, 52
STYLE = """
  svg { --page: #ffffff; --ink: #1f2328; --soft: #656d76; --grid: #d8dee4;
        --c0: #6da7ec; --c1: #3987e5; --c2: #256abf; --c3: #184f95; --c4: #0d366b; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #30363d;
          --c0: #256abf; --c1: #3987e5; --c2: #6da7ec; --c3: #9ec5f4; --c4: #cde2fb; }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--soft); }
  text.label, text.title { fill: var(--ink); }
  text.title { font-size: 14px; }
  .page { fill: var(--page); } .grid { stroke: var(--grid); }
  polyline, .key { fill: none; stroke-width: 2; } .floor { stroke-dasharray: 5 4; stroke-width: 1.5; }
  circle { stroke: var(--page); stroke-width: 1.5; }
"""


def colours(count):
    """A class for each series: c0 … c4, spread over as many as there are."""
    return [f"c{round(4 * i / max(1, count - 1))}" for i in range(count)]


def svg(points):
    """points: (d_model, length) -> measured, fitted and least possible milliseconds."""
    lengths = sorted({length for _, length in points})
    models = sorted({d_model for d_model, _ in points})
    values = [x for triple in points.values() for x in triple if x > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log2(lengths[0]), math.log2(lengths[-1])

    def x(length):
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log2(length) - first) / ((last - first) or 1)

    def y(ms):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (math.log10(ms) - low) / ((high - low) or 1)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
           f'height="{HEIGHT}" role="img"><title>Milliseconds a training step against length</title>',
           f"<style>{STYLE}",
           *(f"  .c{i} {{ stroke: var(--c{i}); }} circle.c{i} {{ fill: var(--c{i}); stroke: var(--page); }}"
             for i in range(5)),
           "</style>", f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>']

    def text(at_x, at_y, words, kind="", anchor="middle"):
        out.append(f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}" class="{kind}">'
                   f"{words}</text>")

    text(LEFT, 22, "Milliseconds a step", "title", "start")
    for power in range(low, high + 1):
        at = y(10.0 ** power)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        text(LEFT - 8, at + 4, f"{10.0 ** power:g}", anchor="end")
    for length in lengths:
        text(x(length), HEIGHT - BOTTOM + 20, str(length))
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "length of a sentence")
    legend(out, text)
    for d_model, colour in zip(models, colours(len(models))):
        mine = [(length, points[d_model, length]) for length in lengths if (d_model, length) in points]
        for kind, which in (("floor", 2), ("fit", 1)):
            line = " ".join(f"{x(length):.1f},{y(triple[which]):.1f}" for length, triple in mine
                            if triple[which] > 0)
            out.append(f'<polyline class="{colour} {kind}" points="{line}"/>')
        for length, triple in mine:
            out.append(f'<circle class="{colour}" cx="{x(length):.1f}" cy="{y(triple[0]):.1f}" r="4.5">'
                       f"<title>d_model {d_model}, length {length}: {triple[0]:.3g} ms, fitted "
                       f"{triple[1]:.3g}, floor {triple[2]:.3g}</title></circle>")
        end, triple = mine[-1]
        text(x(end) + 10, y(triple[0]) + 4, f"d_model {d_model}", "label", "start")
    return "\n".join([*out, "</svg>", ""])


def legend(out, text):
    at = LEFT + 170
    out.append(f'<circle class="c2" cx="{at}" cy="18" r="4.5"/>')
    text(at + 12, 22, "measured", anchor="start")
    out.append(f'<line class="key c2" x1="{at + 96}" x2="{at + 124}" y1="18" y2="18"/>')
    text(at + 132, 22, "fitted", anchor="start")
    out.append(f'<line class="key floor c2" x1="{at + 196}" x2="{at + 224}" y1="18" y2="18"/>')
    text(at + 232, 22, "floor: FLOPs at the FMA peak", anchor="start")
