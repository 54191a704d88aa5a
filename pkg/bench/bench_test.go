package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bonsai/pkg/golden"
)

func sampleReport() *Report {
	return &Report{Version: "v1.37.2", CPUs: 2, Results: []Result{
		Result{Row: "create ×64", Figure: Quantity{1234.4, "/s"}}.against(Quantity{4000, "/s"}, "echo", 0.31).
			aiming(Aim{AtLeast: 1.0 / 3}).detailed("p50 %s ms", digits(48.27)),
		Result{Row: "create ×64", Figure: Quantity{1234.4, "/s"}}.against(Quantity{2000000, "/s"}, "fdatasync", 0),
		Result{Row: "list 5,000 JSON", Figure: Quantity{31.44, "ms"}}.against(Quantity{20, "ms"}, "static", 0).aiming(Aim{AtMost: 2}),
		Result{Row: "watch ×100", Figure: Quantity{210_000, "events/s"}}.against(Quantity{420_000, "events/s"}, "written", 0).
			aiming(Aim{AtLeast: 0.7, OrFigure: 200_000}),
		Result{Row: "cold start", Figure: Quantity{4.999, "s"}}.against(Quantity{0.25, "s"}, "empty server", 0).aiming(Aim{OfFigure: true, AtMost: 5}),
		{Row: "idle CPU", Figure: Quantity{0.4, "% of a core"}, Detail: "over 10s"},
		{Row: "node", Skipped: "a node needs root: run it with sudo"},
	}}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sampleReport().WriteTable(&out))
	golden.Equal(t, "testdata/table.txt", out.String())
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sampleReport().WriteJSON(&out))
	golden.Equal(t, "testdata/report.json", out.String())
}

func TestDigits(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 0.314: "0.31", 9.994: "9.99", 12.34: "12.3", 999.5: "1,000", 1234567.8: "1,234,568", -1234: "-1,234", -123: "-123",
	} {
		require.Equal(t, want, digits(v))
	}
}

func TestAims(t *testing.T) {
	for _, c := range []struct {
		aim           Aim
		figure, limit float64
		met           bool
	}{
		{Aim{AtLeast: 0.5}, 50, 100, true},
		{Aim{AtLeast: 0.5}, 49, 100, false},
		{Aim{AtMost: 2}, 200, 100, true},
		{Aim{AtMost: 2}, 201, 100, false},
		{Aim{OfFigure: true, AtMost: 250}, 251, 1, false},
		{Aim{OfFigure: true, AtMost: 250}, 250, 1, true},
		{Aim{AtLeast: 0.7, OrFigure: 200}, 200, 400, true},
		{Aim{AtLeast: 0.7, OrFigure: 200}, 199, 400, false},
		{Aim{AtLeast: 0.7, OrFigure: 200}, 70, 100, true},
	} {
		r := Result{Figure: Quantity{c.figure, "x"}}.against(Quantity{c.limit, "x"}, "", 0).aiming(c.aim)
		require.Equal(t, c.met, *r.Met, "%+v", c)
	}
}

// A quantile is one of the values; at least its share of them is not above it, and of those below it there are fewer.
func TestQuantile(t *testing.T) {
	require.Zero(t, quantile([]int(nil), 0.5))
	require.Equal(t, 2, median([]int{3, 1, 2}))
	require.Equal(t, 99, quantile(hundred(), 0.99))
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.IntRange(0, 50), 1, 200).Draw(t, "values")
		percent := rapid.IntRange(1, 100).Draw(t, "percent")
		got := quantile(values, float64(percent)/100)
		below, upTo := 0, 0
		for _, v := range values {
			if v < got {
				below++
			}
			if v <= got {
				upTo++
			}
		}
		if upTo*100 < percent*len(values) || below*100 >= percent*len(values) {
			t.Fatalf("%d%% of %v: %d, with %d below", percent, values, got, below)
		}
	})
}

// hundred are 100, 99, … 1.
func hundred() (all []int) {
	for i := 100; i > 0; i-- {
		all = append(all, i)
	}
	return all
}

func TestDriveDoesEachPieceOnce(t *testing.T) {
	done := make(chan int, 100)
	l, err := drive(t.Context(), 7, pieces(100), func(_ context.Context, i int) error { done <- i; return nil })
	require.NoError(t, err)
	require.Equal(t, 100, l.done)
	require.Len(t, l.waits, 100)
	close(done)
	seen := map[int]bool{}
	for i := range done {
		seen[i] = true
	}
	require.Len(t, seen, 100)
}

func TestDriveStopsAtTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	_, err := drive(t.Context(), 3, func(int) bool { return true }, func(ctx context.Context, i int) error {
		if i == 5 {
			return broken
		}
		return ctx.Err()
	})
	require.ErrorIs(t, err, broken)
}

func TestCompareTakesMediansOfRatios(t *testing.T) {
	figures, limits := []float64{10, 30, 20}, []float64{10, 10, 40}
	next := func(values *[]float64) sample {
		return func(context.Context) (float64, error) {
			v := (*values)[0]
			*values = (*values)[1:]
			return v, nil
		}
	}
	got, err := compare(t.Context(), 3, next(&figures), next(&limits))
	require.NoError(t, err)
	require.Equal(t, turns{figure: 20, limit: 10, ratio: 1}, got)
}

func TestChoose(t *testing.T) {
	all, err := choose(nil)
	require.NoError(t, err)
	require.Len(t, all, len(rows()))
	some, err := choose([]string{"watch", "create"})
	require.NoError(t, err)
	require.Equal(t, []string{"create", "watch"}, []string{some[0].name, some[1].name}, "in the order of the list")
	_, err = choose([]string{"speed"})
	require.EqualError(t, err, `there is no row "speed" to measure; there are: create, get, update, patch, apply, delete, list, watch, memory, node`)
}

func TestDataLiesBesideTheDataDirectory(t *testing.T) {
	dir := t.TempDir()
	require.Equal(t, dir, beside(dir+"/bonsai"))
	require.Equal(t, dir, beside(dir+"/not/there/yet"))
}

func TestParseRollup(t *testing.T) {
	u, err := parseRollup(strings.NewReader(`00400000-7ffd0 ---p 00000000 00:00 0    [rollup]
Rss:               53248 kB
Pss:               50000 kB
Pss_Dirty:         40000 kB
Anonymous:         39000 kB
`))
	require.NoError(t, err)
	require.Equal(t, usage{rss: 53248 << 10, pss: 50000 << 10, anonymous: 39000 << 10}, u)
	_, err = parseRollup(strings.NewReader("Rss: 1 kB\n"))
	require.ErrorContains(t, err, "1 of the 3")
}

func TestParseStat(t *testing.T) {
	d, err := parseStat("42 (a) b (c) S 1 42 42 0 -1 4194304 1 2 3 4 150 50 9 9 20 0 8 0 1 1 1")
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, d)
	_, err = parseStat("42 (a) S 1")
	require.Error(t, err)
}

func TestParseHeap(t *testing.T) {
	h, err := parseHeap([]byte("heap profile: 1: 2 [3: 4] @ heap/1048576\n\n# runtime.MemStats\n# Alloc = 1\n# HeapAlloc = 100\n# HeapInuse = 200\n"))
	require.NoError(t, err)
	require.Equal(t, heap{allocated: 100, inUse: 200}, h)
	_, err = parseHeap([]byte("# HeapAlloc = 100\n"))
	require.Error(t, err)
}

func TestListRevision(t *testing.T) {
	rev, err := listRevision([]byte(`{"kind":"PodList","metadata":{"resourceVersion":"17"},"items":[{"metadata":{"resourceVersion":"3"}}]}`))
	require.NoError(t, err)
	require.Equal(t, "17", rev)
	_, err = listRevision([]byte(`{}`))
	require.Error(t, err)
}

func TestEventsAreCountedByLine(t *testing.T) {
	lines, err := firstLines(strings.NewReader("{one}\n{two}\n{three}\n"), 2)
	require.NoError(t, err)
	require.Equal(t, "{one}\n{two}\n", string(lines))
	_, err = firstLines(strings.NewReader("{one}\n{two"), 2)
	require.ErrorContains(t, err, "within event 2 of 2")
	require.NoError(t, countLines(strings.NewReader("a\nb\nc\n"), 3))
	require.ErrorContains(t, countLines(strings.NewReader("a\nb\n"), 3), "1 events before its end")
}

func TestReportOfAStart(t *testing.T) {
	quiet := func(string, ...any) {}
	read := func(text string) error { return awaitReport(json.NewDecoder(strings.NewReader(text)), quiet) }
	require.NoError(t, read(`{"step":{"Name":"certificates","Took":5,"Done":true}}{"ready":true,"took":4}`))
	require.EqualError(t, read(`{"err":"no space left"}`), "no space left")
	require.ErrorContains(t, read(`{"step":{"Name":"certificates"}}`), "ended before it was Ready")
}

func TestThePodsAreValidJSON(t *testing.T) {
	require.True(t, json.Valid(pod("p", 7)))
	require.True(t, json.Valid(plainPod("p", 7)))
	require.True(t, json.Valid(runningPod("p", 7)))
	require.Contains(t, string(pod("p", 7)), `"name":"p-000007"`)
	require.Contains(t, string(paymentsPod("p", 7)), `"team":"payments"`, "what a list by label selects")
	require.NotContains(t, string(pod("p", 7)), "payments")
	require.Greater(t, len(pod("p", 7)), 2000, "a realistic size")
}
