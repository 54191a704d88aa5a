package bench

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// standIn is the limits' server in this process, taken for any server there is.
func standIn(t *testing.T) *server {
	t.Helper()
	l := newLimits(t.TempDir())
	t.Cleanup(l.etcd.close)
	srv := httptest.NewServer(l.handler())
	t.Cleanup(srv.Close)
	here, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	return &server{&child{cmd: &exec.Cmd{Process: here}}, &client{base: srv.URL, http: srv.Client()}}
}

// A verb's requests have a number each, over all turns; its echo carries as many bytes each way as they do.
func TestVerb(t *testing.T) {
	s := standIn(t)
	b := &bench{Config: Config{Quick: true}}
	var asked, most atomic.Int64
	rows, err := b.verb(t.Context(), verb{name: "ask", api: s, limit: s, sent: 7, aim: &Aim{AtLeast: 1e-9}, durable: true,
		do: func(ctx context.Context, n int) (int64, error) {
			asked.Add(1)
			for last := most.Load(); int64(n) > last && !most.CompareAndSwap(last, int64(n)); last = most.Load() {
			}
			return s.size(ctx, http.MethodPost, "/echo?size=300", jsonType, []byte("1234567"))
		}})
	require.NoError(t, err)
	require.Len(t, rows, 2)
	r := rows[0]
	require.Equal(t, asked.Load(), most.Load()+1, "numbers from 0, none twice")
	require.Equal(t, "ask ×64", r.Row)
	require.Equal(t, "echo", r.LimitIs)
	require.Positive(t, r.Ratio)
	require.True(t, *r.Met)
	require.Contains(t, r.Detail, "7 bytes, answered with 300")
	require.Equal(t, "echo + etcd", rows[1].LimitIs)
	require.Equal(t, r.Figure, rows[1].Figure)
	require.Positive(t, rows[1].Ratio)
}

// What is used up is made before each turn, and a turn is as many requests as there is stock.
func TestVerbThatUsesUpItsStock(t *testing.T) {
	s := standIn(t)
	b := &bench{Config: Config{Quick: true}}
	stock := atomic.Int64{}
	stock.Store(1) // for the first, which shows the size of the answer
	_, err := b.verb(t.Context(), verb{name: "take", api: s, limit: s,
		stock: func(context.Context) (int, error) { stock.Add(100); return 100, nil },
		do: func(ctx context.Context, _ int) (int64, error) {
			if stock.Add(-1) < 0 {
				return 0, errors.New("nothing left")
			}
			return s.size(ctx, http.MethodPost, "/echo?size=3", jsonType, nil)
		}})
	require.NoError(t, err)
	require.Zero(t, stock.Load())
}

func TestVerbThatFails(t *testing.T) {
	s := standIn(t)
	broken := errors.New("broken")
	_, err := (&bench{}).verb(t.Context(), verb{name: "ask", api: s, limit: s, do: func(context.Context, int) (int64, error) { return 0, broken }})
	require.ErrorIs(t, err, broken)
}

func TestHolder(t *testing.T) {
	h := &holder{name: "node-07", revision: "41"}
	text := h.lease(time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC))
	var lease struct {
		Metadata struct{ Name, ResourceVersion string }
		Spec     struct{ HolderIdentity, RenewTime string }
	}
	require.NoError(t, json.Unmarshal(text, &lease))
	require.Equal(t, "node-07", lease.Metadata.Name)
	require.Equal(t, "41", lease.Metadata.ResourceVersion)
	require.Equal(t, "2026-11-22T10:00:00.123456Z", lease.Spec.RenewTime)
}

func TestObjectRevision(t *testing.T) {
	rev, err := objectRevision([]byte(`{"kind":"Lease","metadata":{"name":"a","resourceVersion":"17"},"spec":{}}`))
	require.NoError(t, err)
	require.Equal(t, "17", rev)
	_, err = objectRevision([]byte(`{"metadata":{"resourceVersion":"17`))
	require.Error(t, err)
}

func TestContinuation(t *testing.T) {
	for text, want := range map[string]string{
		`{"metadata":{"resourceVersion":"17","continue":"abc"},"items":[]}`: "abc",
		`{"metadata":{"resourceVersion":"17"},"items":[]}`:                  "",
	} {
		got, err := continuation([]byte(text))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := continuation([]byte(`{}`))
	require.Error(t, err)
}

func TestTheInitialEventsEndWithTheirBookmark(t *testing.T) {
	end := `{"type":"BOOKMARK","object":{"metadata":{"annotations":{"k8s.io/initial-events-end":"true"}}}}` + "\n"
	require.NoError(t, endsInitially([]byte("{one}\n"+end)))
	require.Error(t, endsInitially([]byte(end+"{one}\n")))
	require.Error(t, endsInitially(nil))
}

func TestWhatIsPatchedAndAppliedIsValid(t *testing.T) {
	require.True(t, json.Valid(statusPatch(3)))
	require.Contains(t, string(statusPatch(3)), `"restartCount":3`)
	name, text := applied(2, 5)
	require.True(t, json.Valid(text))
	require.Equal(t, "app-000002", name)
	require.Equal(t, 3, strings.Count(string(text), "2.14.5"))
	require.True(t, json.Valid([]byte(deleteText)))
	require.Equal(t, jsonType, accepted(applyType))
	require.Equal(t, protobufType, accepted(protobufType))
}

func TestOneCreateIsHeldAgainstTheConnectionAndTheDisk(t *testing.T) {
	ms := time.Millisecond
	c := &created{writers: 1, made: tally{waits: []time.Duration{5 * ms}}, echoed: tally{waits: []time.Duration{ms}}, syncs: []time.Duration{ms}}
	r := c.one()
	require.Equal(t, Quantity{5, "ms"}, r.Figure)
	require.InDelta(t, 2.5, r.Ratio, 1e-9)
	require.False(t, *r.Met)
	c.made.waits[0] = 4 * ms
	require.True(t, *c.one().Met)
}
