package store

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// writeUntilKilled is the child process of TestKill: it says of each write that it was acknowledged.
func writeUntilKilled(dir string) {
	s, err := Open(context.Background(), Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for writer := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("/registry/writer-%d/%d", writer, i)
				got, err := s.Commit(context.Background(), Txn{If: []Condition{{Key: key}}, Put: []Put{{Key: key, Value: []byte(key)}}})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Printf("%s %d\n", key, got[0].Rev)
			}
		}()
	}
	select {}
}

// What was acknowledged is there after a kill -9, at the same revision.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := map[string]int64{}
	for round := range 2 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "STORE_TEST_WRITE="+dir+fmt.Sprint(round))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		clear(acknowledged)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var key string
			var rev int64
			if _, err := fmt.Sscan(lines.Text(), &key, &rev); err == nil {
				acknowledged[key] = rev
			}
			if len(acknowledged) == 200*(round+1) {
				child.Process.Kill()
			}
		}
		child.Wait()

		s := open(t, func(c *Config) { c.Dir, c.Extract = dir+fmt.Sprint(round), nil })
		p, err := s.List(within(t), "/registry/", ReadAt{}, ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Objects {
			if rev, ok := acknowledged[o.Key]; ok && (rev != o.Rev || string(o.Value) != o.Key) {
				t.Errorf("%s was acknowledged at %d, is at %d", o.Key, rev, o.Rev)
			}
			delete(acknowledged, o.Key)
		}
		if len(acknowledged) > 0 {
			t.Errorf("acknowledged, then lost: %v", acknowledged)
		}
	}
}

// openDamaged is the child process of TestDamagedFiles; what etcd leaves running when it fails to start ends with it.
func openDamaged(dir string) {
	_, err := Open(context.Background(), Config{Dir: dir})
	fmt.Print(err)
	os.Exit(0)
}

// Files that etcd cannot read are an error, not the end of the process.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{"database": "member/snap/db", "log": "member/wal"} {
		dir := t.TempDir()
		s := open(t, func(c *Config) { c.Dir = dir })
		set(t, s, "/registry/a", "v=1\n")
		s.Close()
		file := filepath.Join(dir, damage)
		if logs, _ := filepath.Glob(file + "/*-*.wal"); len(logs) > 0 {
			file = logs[0]
		}
		if err := os.WriteFile(file, bytes.Repeat([]byte("nonsense"), 1<<12), 0o600); err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "STORE_TEST_OPEN="+dir)
		if out, err := child.CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("store: start etcd in "+dir)) {
			t.Errorf("%s: %s, %v", name, out, err)
		}
	}
}
