package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"bonsai/pkg/cluster"
)

// show draws steps: a line for each that is done, with its time, and on a terminal one more line that says what is
// under way.
//
//	✓ certificates         0.03s  ca: missing; apiserver: missing
//	✓ API server           0.61s  https://10.0.0.5:6443
//	… container runtime
type show struct {
	out     io.Writer
	live    bool
	running []string
}

func newShow(out *os.File) *show {
	return &show{out: out, live: term.IsTerminal(int(out.Fd()))}
}

const clearLine = "\r\033[K"

func (s *show) step(st cluster.Step) {
	if s.live {
		fmt.Fprint(s.out, clearLine)
	}
	if st.Done {
		s.running = slices.DeleteFunc(s.running, func(n string) bool { return n == st.Name })
		s.done(st)
	} else {
		s.running = append(s.running, st.Name)
	}
	if s.live && len(s.running) > 0 {
		fmt.Fprintf(s.out, "… %s", strings.Join(s.running, ", "))
	}
}

func (s *show) done(st cluster.Step) {
	mark, detail := "✓", st.Detail
	if st.Err != "" {
		mark, detail = "✗", "" // the error is told once, by whoever ends the program
	}
	fmt.Fprintln(s.out, strings.TrimRight(fmt.Sprintf("%s %-20s %6.2fs  %s", mark, st.Name, st.Took.Seconds(), clip(detail)), " "))
}

// clip keeps a line a line.
func clip(s string) string {
	const most = 90
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// welcome is the end of a successful start.
func welcome(out io.Writer, took time.Duration, context, kubectl string) {
	fmt.Fprintf(out, `
Ready in %.1fs.%s Try:

  %[3]s get nodes
  %[3]s create deployment web --image=bonsai.local/web:1 --replicas=3
  %[3]s expose deployment web --port=8080 --type=NodePort
  %[3]s get pods -o wide --watch

`, took.Seconds(), context, kubectl)
}
