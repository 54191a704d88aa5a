package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"bonsai/pkg/version"
)

// row is one thing to measure; it may come to several lines of the table.
type row struct {
	name    string
	what    string
	measure func(context.Context, *bench) ([]Result, error)
	// missing says what this machine or binary lacks for it; nil if it needs nothing.
	missing func() string
}

// rows is what is measured, in this order.
func rows() []row {
	return []row{
		{name: "create", what: "durable creates of pods, by one writer and by 64", measure: creates},
		{name: "get", what: "gets of a pod by 64 readers, consistent and from the image", measure: gets},
		{name: "update", what: "updates of leases by 64 writers, each of its own", measure: updates},
		{name: "patch", what: "patches of the status of pods by 64 writers", measure: patches},
		{name: "apply", what: "server-side applies of Deployments by 64 writers", measure: applies},
		{name: "delete", what: "deletes of pods by 64 writers", measure: deletes},
		{name: "list", what: "lists of 5,000 pods: whole, by label, in pages, and as the start of a watch", measure: lists},
		{name: "watch", what: "changes of pods fanned out to 100 watchers", measure: fanOut},
		{name: "memory", what: "memory for each of 50,000 running pods, etcd apart", measure: memory},
		{name: "node", what: "a whole node: its start, its memory, a pod, a Deployment", measure: wholeNode, missing: missingForNode},
	}
}

// Names are those of the rows, with what each measures.
func Names() (names []string, what map[string]string) {
	what = map[string]string{}
	for _, r := range rows() {
		names, what[r.name] = append(names, r.name), r.what
	}
	return names, what
}

// Config says what to measure.
type Config struct {
	// Program is how this binary is called again, for the processes that are measured.
	Program string
	// DataDir is where a cluster's data would be; what is measured writes to a temporary directory beside it.
	DataDir string
	// Only are the names of rows; empty measures all.
	Only []string
	// Quick takes fewer and smaller samples: enough to see whether something is broken.
	Quick bool
	// ProfileDir is where profiles of the API server under load are put, of its processor time and its heap; empty takes none.
	ProfileDir string
	// Progress is told what is being done.
	Progress func(string)
}

// bench is one run.
type bench struct {
	Config
	dir string // temporary
}

// Run measures.
func Run(ctx context.Context, c Config) (*Report, error) {
	chosen, err := choose(c.Only)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(beside(c.DataDir), "bonsai-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the data to measure with: %w", err)
	}
	defer os.RemoveAll(dir)
	b := &bench{Config: c, dir: dir}
	report := &Report{Version: version.Kubernetes, CPUs: runtime.NumCPU(), Quick: c.Quick}
	for _, r := range chosen {
		got, err := b.one(ctx, r)
		if err != nil {
			return report, fmt.Errorf("measure %s: %w", r.name, err)
		}
		report.Results = append(report.Results, got...)
	}
	return report, nil
}

func (b *bench) one(ctx context.Context, r row) ([]Result, error) {
	if r.missing != nil {
		if why := r.missing(); why != "" {
			return []Result{{Row: r.name, Skipped: why}}, nil
		}
	}
	b.progress("%s: %s", r.name, r.what)
	return r.measure(ctx, b)
}

func (b *bench) progress(format string, args ...any) {
	if b.Progress != nil {
		b.Progress(fmt.Sprintf(format, args...))
	}
}

// scaled is n, or few when it has to be quick.
func (b *bench) scaled(n, few int) int {
	if b.Quick {
		return few
	}
	return n
}

func choose(only []string) ([]row, error) {
	all := rows()
	if len(only) == 0 {
		return all, nil
	}
	names, _ := Names()
	for _, name := range only {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no row %q to measure; there are: %s", name, strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(all, func(r row) bool { return !slices.Contains(only, r.name) }), nil
}

// beside is the nearest directory above path that exists and can be written to, or else the system's temporary one.
func beside(path string) string {
	for dir := filepath.Dir(path); dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		if unix.Access(dir, unix.W_OK) == nil {
			return dir
		}
	}
	return os.TempDir()
}
