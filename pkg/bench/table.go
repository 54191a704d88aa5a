package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Report is all results, and what is needed to understand them later.
type Report struct {
	Version string   `json:"version"`
	CPUs    int      `json:"cpus"`
	Quick   bool     `json:"quick,omitempty"`
	Results []Result `json:"results"`
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	t := &trimmed{w: w}
	tw := tabwriter.NewWriter(t, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ROW\tFIGURE\tLIMIT\t\tRATIO\tAIM\t\tDETAIL")
	for _, res := range r.Results {
		fmt.Fprintln(tw, strings.Join(res.cells(), "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d CPUs. Ratio is figure to limit, the limit measured in the same run on the same machine.\n", r.CPUs)
	return err
}

const none = "–"

func (r Result) cells() []string {
	if r.Skipped != "" {
		return []string{r.Row, none, none, "", none, none, "", "skipped: " + r.Skipped}
	}
	limit, ratio, aim, mark := none, none, none, ""
	if r.Limit != nil {
		limit, ratio = r.Limit.String(), ratioText(r.Ratio)
	}
	if r.Aim != nil {
		aim, mark = r.aimText(), "✗"
		if *r.Met {
			mark = "✓"
		}
	}
	return []string{r.Row, r.Figure.String(), limit, r.LimitIs, ratio, aim, mark, r.Detail}
}

func ratioText(v float64) string { return digits(v) + "×" }

func (r Result) aimText() string {
	figure := func(v float64) string { return Quantity{v, r.Figure.Unit}.String() }
	text := ratioText
	if r.Aim.OfFigure {
		text = figure
	}
	if r.Aim.AtLeast == 0 {
		return "≤ " + text(r.Aim.AtMost)
	}
	if r.Aim.OrFigure != 0 {
		return "≥ " + text(r.Aim.AtLeast) + " or " + figure(r.Aim.OrFigure)
	}
	return "≥ " + text(r.Aim.AtLeast)
}

// trimmed drops the spaces that a table leaves behind its last cell.
type trimmed struct {
	w    io.Writer
	line strings.Builder
}

func (t *trimmed) Write(b []byte) (int, error) {
	for _, c := range b {
		if t.line.WriteByte(c); c != '\n' {
			continue
		}
		if _, err := io.WriteString(t.w, strings.TrimRight(t.line.String(), " \n")+"\n"); err != nil {
			return 0, err
		}
		t.line.Reset()
	}
	return len(b), nil
}
