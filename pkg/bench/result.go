package bench

import (
	"fmt"
	"math"
	"strconv"
)

// Quantity is a measured number.
type Quantity struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// String writes three digits that count, or all of an integer's.
func (q Quantity) String() string { return digits(q.Value) + " " + q.Unit }

func digits(v float64) string {
	size := math.Abs(v)
	switch {
	case size >= 100:
		return grouped(int64(math.Round(v)))
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// grouped writes n with commas, because nobody reads 1234567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Aim is what a result should come to: its ratio, or, where the machine sets no limit worth dividing by, its figure.
type Aim struct {
	OfFigure bool    `json:"ofFigure,omitempty"`
	AtLeast  float64 `json:"atLeast,omitempty"`
	AtMost   float64 `json:"atMost,omitempty"`
	// OrFigure is a figure that will do as well, however high the limit may be.
	OrFigure float64 `json:"orFigure,omitempty"`
}

func (a Aim) met(r Result) bool {
	v := r.Ratio
	if a.OfFigure {
		v = r.Figure.Value
	}
	return (a.AtLeast == 0 || v >= a.AtLeast) && (a.AtMost == 0 || v <= a.AtMost) || a.OrFigure != 0 && r.Figure.Value >= a.OrFigure
}

// Result is one line of the table.
type Result struct {
	Row    string   `json:"row"`
	Figure Quantity `json:"figure"`
	// Limit is what this machine does at best, and LimitIs what that was. Without a limit there is no ratio.
	Limit   *Quantity `json:"limit,omitempty"`
	LimitIs string    `json:"limitIs,omitempty"`
	// Ratio is figure to limit: of rates at most 1 and better when high, of times and sizes at least 1 and better when low.
	Ratio  float64 `json:"ratio,omitempty"`
	Aim    *Aim    `json:"aim,omitempty"`
	Met    *bool   `json:"met,omitempty"`
	Detail string  `json:"detail,omitempty"`
	// Skipped says why nothing was measured.
	Skipped string `json:"skipped,omitempty"`
}

// against sets the limit. A ratio from turns is better than that of the medians; zero takes the latter.
func (r Result) against(limit Quantity, is string, ratio float64) Result {
	r.Limit, r.LimitIs, r.Ratio = &limit, is, ratio
	if ratio == 0 && limit.Value > 0 {
		r.Ratio = r.Figure.Value / limit.Value
	}
	return r
}

// aiming sets the aim, once figure and ratio are known.
func (r Result) aiming(a Aim) Result {
	met := a.met(r)
	r.Aim, r.Met = &a, &met
	return r
}

func (r Result) detailed(format string, args ...any) Result {
	r.Detail = fmt.Sprintf(format, args...)
	return r
}
