package apiserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// TestReadsDecodeNothing shows that gets, lists and watches serve the kept bytes: the spec of these pods cannot be decoded, and only who wants
// another shape of them notices. The JSON of a pod comes with its write; what is written in protobuf is decoded once for each
// version of it, when somebody first wants JSON, and not for each list or watch.
func TestReadsDecodeNothing(t *testing.T) {
	c := start(t)
	resp, first := c.do("POST /api/v1/namespaces/default/pods", fmt.Sprintf(benchPod, "first"), "Content-Type: "+typeJSON)
	require.Equal(t, http.StatusCreated, resp.StatusCode, first)
	o, err := c.store.Get(t.Context(), "/registry/pods/default/first", store.ReadAt{})
	require.NoError(t, err)
	kept, err := o.FormBy(makerOf(c.row("pods")), store.JSON, func(*store.Object) ([]byte, error) { return nil, errors.New("it was not kept") })
	require.NoError(t, err)
	require.JSONEq(t, first, string(kept))
	before := c.store.Revision()
	events := map[string]*http.Response{}
	for _, accept := range []string{typeJSON, typeProtobuf} {
		events[accept] = c.opened("/api/v1/pods?watch=true&labelSelector=app%3Dweb&resourceVersion="+fmt.Sprint(before), accept)
	}
	const n = 12
	for i := range n {
		c.spoil(fmt.Sprintf("p%02d", i), first)
	}
	require.Equal(t, n, c.count(events[typeJSON].Body, `"type":"ADDED"`, n), "live events in JSON")
	require.Equal(t, n, c.count(events[typeProtobuf].Body, "ADDED", n), "live events in protobuf")

	name := `"name":"first"`
	for _, what := range []struct {
		path   string
		accept string
		marks  string
		times  int
	}{
		{"/api/v1/namespaces/default/pods/p00", typeJSON, name, 1},
		{"/api/v1/namespaces/default/pods/p00", typeProtobuf, noSpec, 1},
		{"/api/v1/pods", typeJSON, name, n + 1},
		{"/api/v1/pods", typeProtobuf, noSpec, n},
		{"/api/v1/pods?resourceVersion=0&labelSelector=app+in+(web),!absent", typeJSON, name, n + 1},
		{"/api/v1/pods?labelSelector=app%3Dweb", typeProtobuf, noSpec, n},
		{"/api/v1/pods?labelSelector=app%3Dother", typeJSON, name, 0},
		{"/api/v1/pods?fieldSelector=spec.nodeName%3Dnone", typeJSON, name, 0},
		{"/api/v1/namespaces/default/pods?fieldSelector=status.phase%3DPending", typeJSON, name, n + 1},
		{"/api/v1/pods?limit=5", typeJSON, name, 5},
	} {
		resp, body := c.do("GET "+what.path, "", "Accept: "+what.accept)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, what.times, strings.Count(body, what.marks), "%s as %s", what.path, what.accept)
	}
	initial := c.opened("/api/v1/pods?watch=true&resourceVersion=0&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", typeJSON)
	require.Equal(t, n+1, c.count(initial.Body, `"type":"ADDED"`, n+1), "the state at the start of a watch")

	resp, body := c.do("GET /api/v1/pods", "", "Accept: "+typeJSON+";as=Table;g=meta.k8s.io;v=v1")
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode, "a table is made of decoded objects, and so shows that these are none: %s", body)
}

// noSpec is no protobuf: a field with the number 0.
var noSpec = strings.Repeat("\x00", 8)

// spoil stores the pod that is text in JSON, as a write of the server's would, but with a spec that cannot be decoded.
func (c *cluster) spoil(name, text string) {
	from, err := c.store.Get(c.t.Context(), "/registry/pods/default/first", store.ReadAt{})
	require.NoError(c.t, err)
	value := spoiled(c.t, from.Value)
	_, err = decodeStored(c.row("pods"), &store.Object{Key: from.Key, Value: value})
	require.Error(c.t, err)
	_, err = c.store.Commit(c.t.Context(), store.Txn{Put: []store.Put{{Key: "/registry/pods/default/" + name, Value: value, Attrs: from.Attrs,
		JSON: func(rev int64) []byte {
			was := fmt.Sprintf(`"resourceVersion":"%d"`, from.Rev)
			return []byte(strings.TrimSpace(strings.Replace(text, was, fmt.Sprintf(`"resourceVersion":"%d"`, rev), 1)))
		}}}})
	require.NoError(c.t, err)
}

func (c *cluster) row(name string) *resource.Row {
	for _, row := range c.server.cfg.Table.Rows() {
		if row.Resource == name && row.Group() == "" {
			return row
		}
	}
	c.t.Fatal("no such row: " + name)
	return nil
}

// spoiled is the stored object value with another spec.
func spoiled(t testing.TB, value []byte) []byte {
	raw, err := rawOf(value)
	require.NoError(t, err)
	var changed []byte
	for rest := raw; len(rest) > 0; {
		number, _, n := protowire.ConsumeField(rest)
		require.Positive(t, n)
		if number == 2 {
			changed = protowire.AppendBytes(protowire.AppendTag(changed, 2, protowire.BytesType), []byte(noSpec))
		} else {
			changed = append(changed, rest[:n]...)
		}
		rest = rest[n:]
	}
	head, ok := bytes.CutSuffix(value[:bytes.Index(value, raw)], protowire.AppendVarint(nil, uint64(len(raw))))
	require.True(t, ok)
	out := protowire.AppendBytes(bytes.Clone(head), changed)
	return append(out, value[bytes.Index(value, raw)+len(raw):]...)
}

// opened is the answer to a watch, which ends with the test.
func (c *cluster) opened(path, accept string) *http.Response {
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+path, nil)
	require.NoError(c.t, err)
	req.Header.Set("Accept", accept)
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
	c.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// count reads until it has found a text n times, or r ends.
func (c *cluster) count(r io.Reader, text string, n int) (found int) {
	var all []byte
	buf := make([]byte, 4096)
	for {
		got, err := r.Read(buf)
		all = append(all, buf[:got]...)
		if found = bytes.Count(all, []byte(text)); found >= n || err != nil {
			return found
		}
	}
}
