package apiserver

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata with what the server answers")

// TestTranscripts sends the requests of testdata/*.txt, each file to a server of its own, and compares the answers.
//
//	# a remark
//	> METHOD PATH
//	> Header: value
//	body, if any
//	< CODE, then what was answered: of a failure, its reason, message and causes
//
// {{SIZE}} in a body is that many bytes; $NAME$ in a request is what the line "= NAME json.path" took from the answer before it.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			before, err := os.ReadFile(file)
			require.NoError(t, err)
			after := (&transcript{c: start(t, atOneInstant), vars: map[string]string{}}).run(string(before))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(after), 0o644))
				return
			}
			if diff := cmp.Diff(string(before), after); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// atOneInstant stops the server's clock, so that ages, and the order of managers by time, are the same in every run.
func atOneInstant(c *Config) {
	instant := time.Now()
	c.Now = func() time.Time { return instant }
}

// transcript is a file on its way through.
type transcript struct {
	c    *cluster
	vars map[string]string
	last string
	out  strings.Builder
}

func (t *transcript) run(text string) string {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); {
		switch {
		case strings.HasPrefix(lines[i], "> "):
			i = t.exchange(lines, i)
		case strings.HasPrefix(lines[i], "= "):
			t.keep(strings.Fields(lines[i]))
			fallthrough
		default:
			t.out.WriteString(lines[i])
			if i < len(lines)-1 {
				t.out.WriteString("\n")
			}
			i++
		}
	}
	return t.out.String()
}

// exchange sends the request that begins at line i and returns the line after its answer.
func (t *transcript) exchange(lines []string, i int) int {
	from := i
	var head, body []string
	for ; strings.HasPrefix(lines[i], "> "); i++ {
		head = append(head, t.expand(lines[i][2:]))
	}
	for ; i < len(lines) && lines[i] != "" && !strings.HasPrefix(lines[i], "< ") && !strings.HasPrefix(lines[i], "= "); i++ {
		body = append(body, t.expand(lines[i]))
	}
	t.out.WriteString(strings.Join(lines[from:i], "\n") + "\n")
	resp, answer := t.c.do(head[0], strings.Join(body, "\n"), head[1:]...)
	t.last = answer
	t.out.WriteString(t.render(resp, answer))
	for i < len(lines) && strings.HasPrefix(lines[i], "< ") {
		i++
	}
	return i
}

var sized = regexp.MustCompile(`\{\{(\d+)\}\}`)

func (t *transcript) expand(s string) string {
	for name, value := range t.vars {
		s = strings.ReplaceAll(s, "$"+name+"$", value)
	}
	return sized.ReplaceAllStringFunc(s, func(m string) string {
		var n int
		_, err := fmt.Sscanf(m, "{{%d}}", &n)
		require.NoError(t.c.t, err)
		return strings.Repeat("x", n)
	})
}

// keep remembers a field of the last answer.
func (t *transcript) keep(words []string) {
	var v any
	require.NoError(t.c.t, json.Unmarshal([]byte(t.last), &v))
	for _, step := range strings.Split(words[2], ".") {
		v = v.(map[string]any)[step]
	}
	t.vars[words[1]] = fmt.Sprint(v)
}

// render is what an answer looks like in a transcript.
func (t *transcript) render(resp *http.Response, body string) string {
	var b strings.Builder
	for _, w := range resp.Header.Values("Warning") {
		fmt.Fprintf(&b, "< %s\n", w)
	}
	var status metav1.Status
	if json.Unmarshal([]byte(body), &status) == nil && status.Kind == "Status" && status.Status == metav1.StatusFailure {
		fmt.Fprintf(&b, "< %d %s: %s\n", resp.StatusCode, status.Reason, steady(strings.ReplaceAll(status.Message, "\n", `\n`)))
		if status.Details != nil {
			fmt.Fprintf(&b, "<   about %s.%s %q\n", status.Details.Kind, status.Details.Group, status.Details.Name)
			for _, c := range status.Details.Causes {
				fmt.Fprintf(&b, "<   %s %s: %s\n", c.Type, c.Field, steady(c.Message))
			}
		}
		return b.String()
	}
	fmt.Fprintf(&b, "< %d %s\n", resp.StatusCode, resp.Header.Get("Content-Type"))
	for line := range strings.SplitSeq(strings.TrimSpace(steady(body)), "\n") {
		fmt.Fprintf(&b, "< %s\n", line)
	}
	return b.String()
}

// steady replaces what differs from run to run.
func steady(s string) string {
	for _, r := range []struct{ from, to string }{
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, `UID`},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, `TIME`},
		{`"resourceVersion": ?"\d+"`, `"resourceVersion":"REV"`},
		{`"continue":"[^"]+"`, `"continue":"TOKEN"`},
		{`resourceVersion: "\d+"`, `resourceVersion: "REV"`},
		{`resource version: \d+ \(\d+\)`, `resource version: REV (REV)`},
		{`current: \d+`, `current: REV`},
		{`in record \(\d+\)`, `in record (REV)`},
		{`\\"resourceVersion\\":\\"\d+\\"`, `\"resourceVersion\":\"REV\"`},
		{`,?"managedFields":\[.*?\}\]`, ``},
	} {
		s = regexp.MustCompile(r.from).ReplaceAllString(s, r.to)
	}
	return s
}
