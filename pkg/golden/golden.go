// Package golden compares what a test sees with what a file says, for tests whose expectation is a text that people read: a plan, a
// transcript, a policy. `go test -update` writes the files anew, and the difference is what is to be reviewed.
//
// A test takes it for whole outputs. It is for tests only, and knows nothing of the house.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the tests see now to the files in testdata")

// Equal requires that got is the content of a file, or writes it there.
func Equal(t testing.TB, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run the test with -update to write it", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Fatalf("%s differs (-want +got); if it should, run the test with -update:\n%s", file, d)
	}
}

// Each plays every file that a pattern matches, and compares what comes of it with the file of the same name and another ending.
func Each(t *testing.T, pattern, ending string, play func(t *testing.T, input string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files are like %s (%v)", pattern, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, filepath.Ext(file))
		t.Run(filepath.Base(name), func(t *testing.T) {
			input, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			Equal(t, name+ending, play(t, string(input)))
		})
	}
}
