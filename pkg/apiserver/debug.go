package apiserver

import (
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/http/pprof"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"bonsai/pkg/store"
)

// The pages below /debug/ show what the server knows about itself, for those who may ask (nonresource /debug/*). Each is a table: HTML for
// a browser, text for everybody else.

// page is one table, made when it is asked for.
type page struct {
	path, title, about string
	header             []string
	rows               func(s *Server) [][]string
}

var pages = []page{
	{"store", "Store", "What the image holds, by the first segment of the keys. Bytes are those of the stored values.",
		[]string{"KIND", "OBJECTS", "BYTES", "BYTES/OBJECT"}, (*Server).storeRows},
	{"image", "Image", "The image as a whole, and what is kept with it.", []string{"WHAT", "VALUE"}, (*Server).imageRows},
	{"watches", "Watches", "Open watches, those furthest behind first: what they see, whose they are, how many changes wait for them, " +
		"and for how long a write to them has been under way.",
		[]string{"SCOPE", "USER", "AGENT", "AGE", "EVENTS", "AT REVISION", "BEHIND", "WRITING FOR"},
		func(s *Server) [][]string { return s.watches.table(s.now()) }},
	{"watchers", "Watchers", "How many watch each scope, the server's own included.", []string{"SCOPE", "WATCHERS"}, (*Server).watcherRows},
	{"timings", "Timings", "Time of each step of the chain by itself, of one request in 64. Percentiles are to a factor of two.",
		[]string{"STEP", "REQUESTS", "MEAN", "50%", "90%", "99%", "MAX"}, (*Server).timingRows},
	{"start", "Start", "What has to be done before the server is ready.", []string{"STEP", "DONE"}, (*Server).startRows},
}

// debugPaths serves what is below /debug/.
func (s *Server) debugPaths(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/{$}", serveDebugIndex)
	mux.HandleFunc("GET /debug", serveDebugIndex)
	for _, p := range pages {
		mux.HandleFunc("GET /debug/"+p.path, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, p.rows(s)) })
	}
	mux.HandleFunc("GET /debug/causes", s.causes.serve)
	const fairness = "/debug/api_priority_and_fairness/"
	mux.HandleFunc(fairness+"dump_priority_levels", dump(s.fairness.DumpLevels))
	mux.HandleFunc(fairness+"dump_queues", dump(s.fairness.DumpQueues))
	mux.HandleFunc(fairness+"dump_requests", func(w http.ResponseWriter, r *http.Request) {
		details := r.URL.Query().Get("includeRequestDetails") != ""
		dump(func(w io.Writer) error { return s.fairness.DumpRequests(w, details) })(w, r)
	})
	mux.Handle("/debug/pprof", http.RedirectHandler("/debug/pprof/", http.StatusFound))
	mux.HandleFunc("/debug/pprof/", pprof.Index) // the command line is none of its profiles: it may hold secrets
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
}

func dump(write func(io.Writer) error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_ = write(w) // fails only if the client has gone
	}
}

// indexRows are all pages.
func indexRows() [][]string {
	rows := [][]string{
		{"/debug/api_priority_and_fairness/dump_priority_levels", "Priority levels: seats, who waits, who was turned away."},
		{"/debug/api_priority_and_fairness/dump_queues", "Queues of the levels, with their virtual times."},
		{"/debug/api_priority_and_fairness/dump_requests?includeRequestDetails=1", "Requests that wait or are worked on."},
		{"/debug/causes", "What caused the last writes; ?revision=N asks about one."},
		{"/debug/pprof/", "Profiles of the process."},
		{"/metrics", "Metrics."},
		{"/readyz?verbose", "Health."},
	}
	for _, p := range pages {
		rows = append(rows, []string{"/debug/" + p.path, p.about})
	}
	slices.SortFunc(rows, func(a, b []string) int { return slices.Compare(a, b) })
	return rows
}

func serveDebugIndex(w http.ResponseWriter, r *http.Request) {
	page{title: "Bonsai API server", about: "Everything that the server shows of itself.", header: []string{"PAGE", "WHAT"}}.serve(w, r, indexRows())
}

var debugHTML = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font:14px sans-serif;margin:2em}td,th{text-align:left;padding:.15em 1em .15em 0;font-family:monospace}</style>
<h1>{{.Title}}</h1><p>{{.About}} <a href="/debug/">All pages</a></p>
<table><tr>{{range .Header}}<th>{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr>{{range .}}<td>{{if eq (printf "%.1s" .) "/"}}<a href="{{.}}">{{.}}</a>{{else}}{{.}}{{end}}</td>{{end}}</tr>
{{end}}</table>
`))

// serve writes the table as the client likes it.
func (p page) serve(w http.ResponseWriter, r *http.Request, rows [][]string) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !wantsHTML(r) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_ = writeTable(w, p.header, rows) // fails only if the client has gone
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = debugHTML.Execute(w, map[string]any{"Title": p.title, "About": p.about, "Header": p.header, "Rows": rows})
}

func (s *Server) stats() store.Stats {
	if from, ok := s.store.(stater); ok {
		return from.Stats()
	}
	return store.Stats{}
}

func (s *Server) storeRows() [][]string {
	objects := s.stats().Objects
	var rows [][]string
	total := store.Count{}
	for _, kind := range slices.Sorted(maps.Keys(objects)) {
		n := objects[kind]
		total.Objects, total.Bytes = total.Objects+n.Objects, total.Bytes+n.Bytes
		rows = append(rows, countRow(kind, n))
	}
	return append(rows, countRow("all", total))
}

func countRow(kind string, n store.Count) []string {
	return []string{kind, strconv.Itoa(n.Objects), strconv.FormatInt(n.Bytes, 10), strconv.FormatInt(n.Bytes/int64(max(n.Objects, 1)), 10)}
}

func (s *Server) imageRows() [][]string {
	st := s.stats()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rows := [][]string{}
	add := func(what string, value any) { rows = append(rows, []string{what, fmt.Sprint(value)}) }
	add("revision", st.Revision)
	add("changes that watches can resume from", st.History)
	add("  the oldest is after revision", st.HistoryFrom)
	add("  bytes", st.HistoryBytes)
	add("writes under way", st.Drafts)
	add("bytes of kept encodings", st.FormBytes)
	add("requests worked on: reads", s.metrics.reads.Load())
	add("requests worked on: writes", s.metrics.writes.Load())
	add("goroutines", runtime.NumGoroutine())
	add("heap in use, bytes", m.HeapInuse)
	add("last garbage collection", time.Unix(0, int64(m.LastGC)).UTC().Format(time.RFC3339))
	return rows
}

func (s *Server) watcherRows() [][]string {
	scopes := s.stats().Watchers
	var rows [][]string
	for _, scope := range slices.Sorted(maps.Keys(scopes)) {
		rows = append(rows, []string{scope, strconv.Itoa(scopes[scope])})
	}
	return rows
}

func (s *Server) startRows() [][]string {
	var rows [][]string
	for _, h := range s.hooks {
		for _, name := range h.names {
			rows = append(rows, []string{name, strconv.FormatBool(h.done.Load())})
		}
	}
	return rows
}

// wantsHTML tells a browser from a program: a browser asks for HTML by name.
func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// writeTable writes rows below a header, in columns. What came from clients has no say in where a line ends.
func writeTable(w io.Writer, header []string, rows [][]string) error {
	clean := strings.NewReplacer("\n", " ", "\t", " ", "\r", " ", "\v", " ", "\f", " ")
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = clean.Replace(cell)
		}
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}
