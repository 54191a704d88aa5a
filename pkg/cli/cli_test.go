package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/cluster"
)

func TestSplitKubectl(t *testing.T) {
	t.Setenv(dataDirEnv, "")
	for _, tt := range []struct {
		args string
		dir  string
		rest string
		ok   bool
	}{
		{"kubectl get pods -A", "", "get pods -A", true},
		{"--data-dir /d kubectl get pods", "/d", "get pods", true},
		{"--data-dir=/d kubectl get pods", "/d", "get pods", true},
		{"kubectl --data-dir /d get pods", "/d", "get pods", true},
		{"kubectl --data-dir=/d get pods", "/d", "get pods", true},
		{"kubectl", "", "", true},
		{"up --data-dir /d", "", "", false},
		{"", "", "", false},
	} {
		dir, rest, ok := splitKubectl(strings.Fields(tt.args))
		if dir != tt.dir || strings.Join(rest, " ") != tt.rest || ok != tt.ok {
			t.Errorf("%q: got %q, %q, %v", tt.args, dir, rest, ok)
		}
	}
}

// TestShow plays a start on a terminal and on none: a terminal has one line more that comes and goes.
func TestShow(t *testing.T) {
	steps := []cluster.Step{
		{Name: "certificates"},
		{Name: "certificates", Detail: "ca: missing", Took: 31 * time.Millisecond, Done: true},
		{Name: "API server"}, {Name: "container runtime"},
		{Name: "API server", Detail: "https://10.0.0.5:6443", Took: 610 * time.Millisecond, Done: true},
		{Name: "container runtime", Took: time.Second, Done: true, Err: "no such file"},
	}
	play := func(live bool) string {
		var out bytes.Buffer
		s := &show{out: &out, live: live}
		for _, st := range steps {
			s.step(st)
		}
		return out.String()
	}
	want := "✓ certificates           0.03s  ca: missing\n" +
		"✓ API server             0.61s  https://10.0.0.5:6443\n" +
		"✗ container runtime      1.00s\n"
	if got := play(false); got != want {
		t.Errorf("without a terminal:\n%s\nwant:\n%s", got, want)
	}
	live := play(true)
	if !strings.Contains(live, "… API server, container runtime") {
		t.Errorf("a terminal does not show what is under way: %q", live)
	}
	if got := strings.ReplaceAll(live, clearLine, "\n"); !strings.HasSuffix(got, "✗ container runtime      1.00s\n") {
		t.Errorf("something is left under way at the end: %q", got)
	}
}

func TestClipKeepsALineALine(t *testing.T) {
	if got := clip(strings.Repeat("ü", 200)); len([]rune(got)) != 90 || !strings.HasSuffix(got, "…") {
		t.Errorf("got %d characters: %q", len([]rune(got)), got)
	}
	if got := clip("short"); got != "short" {
		t.Errorf("got %q", got)
	}
}

// TestDetachedReports: what the process in the background tells on its pipe is what the one in front shows, up to the
// last report, and a process that ends without one is an error that says where to look.
func TestDetachedReports(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pipe")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	p := newPipe(f)
	p.step(cluster.Step{Name: "certificates", Done: true})
	p.failed(errors.New("no room on the disk"))
	o := &upOptions{noMerge: true}
	read, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.follow(read, "log"); err == nil || err.Error() != "no room on the disk" {
		t.Errorf("a failed start: got %v", err)
	}
	if err := o.follow(strings.NewReader(""), "/d/logs/bonsai.log"); err == nil || !strings.Contains(err.Error(), "see /d/logs/bonsai.log") {
		t.Errorf("a silent end: got %v", err)
	}
	if err := o.follow(strings.NewReader("panic: oh\n"), "log"); err == nil || !strings.Contains(err.Error(), "panic: oh") {
		t.Errorf("noise: got %v", err)
	}
}

// TestDetachedArgs: the process in the background is told all that this one was told, but to detach.
func TestDetachedArgs(t *testing.T) {
	o := &upOptions{dataDir: "/d", nodeName: "n", separate: true, noMerge: true, verbosity: 4, etcdServers: []string{"http://e:2379"}, detach: true}
	back := upCommand()
	args := o.detachedArgs()
	if err := back.ParseFlags(args[1:]); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"data-dir": "/d", "node-name": "n", "separate": "true", "no-merge-kubeconfig": "true",
		"v": "4", "etcd-servers": "[http://e:2379]", "detach": "false", "report-to": "3"} {
		if got := back.Flag(flag).Value.String(); got != want {
			t.Errorf("--%s is %s, want %s", flag, got, want)
		}
	}
}

// TestEveryCommandTakesADataDir: it is promised to the user.
func TestEveryCommandTakesADataDir(t *testing.T) {
	without := []string{"kubectl", "help", "completion", "image", "bench"}
	for _, cmd := range newRoot().Commands() {
		if cmd.Hidden {
			continue
		}
		if cmd.Flag("data-dir") == nil && !slices.Contains(without, cmd.Name()) {
			t.Errorf("bonsai %s does not take --data-dir", cmd.Name())
		}
		if cmd.Short == "" {
			t.Errorf("bonsai %s has no short help", cmd.Name())
		}
	}
}
