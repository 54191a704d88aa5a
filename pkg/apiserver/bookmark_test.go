package apiserver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
)

// marked follows a watch that is sent bookmarks, and holds them against what it is sent besides.
type marked struct {
	selector string
	body     io.ReadCloser
	count    atomic.Int64
	marks    []int64
	seen     []string // names, in the order in which they came
	bad      []string
}

// follow reads until it has seen the object "end".
func (m *marked) follow() {
	at, last := int64(0), int64(0)
	for lines := bufio.NewScanner(m.body); lines.Scan(); {
		var e struct {
			Type   string
			Object struct {
				Metadata struct{ Name, ResourceVersion string }
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			m.bad = append(m.bad, err.Error())
			return
		}
		rev, _ := strconv.ParseInt(e.Object.Metadata.ResourceVersion, 10, 64)
		if rev < last || e.Type != "BOOKMARK" && rev <= at {
			m.bad = append(m.bad, fmt.Sprintf("%s after %d, and the bookmark %d", lines.Text(), last, at))
		}
		last = rev
		if e.Type == "BOOKMARK" {
			at = rev
			m.marks = append(m.marks, rev)
			m.count.Add(1)
			continue
		}
		if m.seen = append(m.seen, e.Object.Metadata.Name); e.Object.Metadata.Name == "end" {
			return
		}
	}
	m.bad = append(m.bad, "the watch ended")
}

// A bookmark is not ahead of what has been sent: nothing that is older comes after it, and who goes on from it misses nothing.
func TestBookmarksAreNotAhead(t *testing.T) {
	c := startOn(t, store.Config{BookmarkEvery: time.Millisecond})
	path := func(selector string, from int64) string {
		return fmt.Sprintf("/api/v1/configmaps?watch=true&allowWatchBookmarks=true&resourceVersion=%d&labelSelector=%s", from, url.QueryEscape(selector))
	}
	from := c.store.Revision()
	watches := []*marked{{}, {selector: "app=x"}}
	var following sync.WaitGroup
	for _, m := range watches {
		m.body = c.opened(path(m.selector, from), typeJSON).Body
		following.Go(m.follow)
	}
	revs := map[string]int64{}
	want := map[string][]string{}
	write := func(name, app string) {
		made := c.makeMap(name, app)
		rev, err := strconv.ParseInt(made.ResourceVersion, 10, 64)
		require.NoError(t, err)
		revs[name] = rev
		want[""] = append(want[""], name)
		if app == "x" {
			want["app=x"] = append(want["app=x"], name)
		}
	}
	for i := 0; i < 40 || watches[0].count.Load() < 5 || watches[1].count.Load() < 5; i++ {
		write(fmt.Sprintf("m%04d", i), []string{"x", "y", "z", "z"}[i%4])
	}
	write("end", "x")
	following.Wait()
	for _, m := range watches {
		require.Empty(t, m.bad)
		require.Equal(t, want[m.selector], m.seen)
		for _, mark := range m.marks[:5] {
			rest := m.seen
			for len(rest) > 0 && revs[rest[0]] <= mark {
				rest = rest[1:]
			}
			again := &marked{body: c.opened(path(m.selector, mark), typeJSON).Body}
			again.follow()
			require.Empty(t, again.bad)
			require.Equal(t, rest, again.seen, "from the bookmark %d on", mark)
		}
	}
}
