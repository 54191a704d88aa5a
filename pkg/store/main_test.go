package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The objects of these tests are text: "name=value" lines, of which those that begin with a dot are fields and the
// others labels.

func extract(_ string, value []byte) (Attrs, error) {
	labels, fields := map[string]string{}, map[string]string{}
	for line := range strings.Lines(string(value)) {
		line = strings.TrimSuffix(line, "\n")
		k, v, ok := strings.Cut(line, "=")
		switch {
		case !ok:
			return Attrs{}, fmt.Errorf("no value in %q", line)
		case strings.HasPrefix(k, "."):
			fields[k[1:]] = v
		default:
			labels[k] = v
		}
	}
	return Attrs{Labels: NewSet(labels), Fields: NewSet(fields)}, nil
}

func put(key, value string) Put {
	a, _ := extract(key, []byte(value))
	return Put{Key: key, Value: []byte(value), Attrs: a}
}

type tlog struct{ t testing.TB }

func (l tlog) Write(b []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

// open starts a store of its own for the test, or, with dir, on what is there.
func open(t testing.TB, change ...func(*Config)) *Store {
	t.Helper()
	c := Config{
		Extract: extract,
		Indexed: []string{"node", "type"},
		Logger:  slog.New(slog.NewTextHandler(tlog{t}, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	for _, f := range change {
		f(&c)
	}
	if c.Dir == "" && c.Endpoints == nil {
		c.Dir = t.TempDir()
	}
	s, err := Open(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// within returns a context that ends before the test would hang.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func commit(t testing.TB, s *Store, txn Txn) []*Object {
	t.Helper()
	got, err := s.Commit(within(t), txn)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// set writes one object, whatever is there.
func set(t testing.TB, s *Store, key, value string) *Object {
	t.Helper()
	return commit(t, s, Txn{Put: []Put{put(key, value)}})[0]
}

func del(t testing.TB, s *Store, key string) *Object {
	t.Helper()
	return commit(t, s, Txn{Delete: []string{key}})[0]
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("STORE_TEST_WRITE"); dir != "" {
		writeUntilKilled(dir)
	}
	if dir := os.Getenv("STORE_TEST_OPEN"); dir != "" {
		openDamaged(dir)
	}
	goleak.VerifyTestMain(m)
}
