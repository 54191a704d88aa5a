package apiserver

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// dialWatch opens a watch of the config maps over a WebSocket.
func dialWatch(t *testing.T, c *cluster, query string, header http.Header) (*websocket.Conn, *http.Response) {
	d := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	conn, resp, err := d.DialContext(t.Context(), "wss"+strings.TrimPrefix(c.url, "https")+configMapsPath+"?watch=1"+query, header)
	if err != nil {
		return nil, resp
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, resp
}

func TestWatchOverWebSocket(t *testing.T) {
	c := start(t)
	_, body := c.do("POST "+configMapsPath, `{"metadata":{"name":"a"}}`)
	require.Contains(t, body, "uid")
	page := http.Header{"Origin": {"https://dashboard.example"}}

	conn, _ := dialWatch(t, c, "&fieldSelector=metadata.name%3Da", page)
	kind, event, err := conn.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, websocket.TextMessage, kind)
	require.Contains(t, string(event), `{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":`)
	require.True(t, strings.HasSuffix(string(event), "}\n"))

	_, body = c.do("DELETE "+configMapsPath+"/a", "")
	require.Contains(t, body, "Success")
	_, event, err = conn.ReadMessage()
	require.NoError(t, err)
	require.Contains(t, string(event), `{"type":"DELETED"`)
}

func TestWatchOverWebSocketEnds(t *testing.T) {
	c := start(t)
	page := http.Header{"Origin": {"https://dashboard.example"}, "Accept": {typeProtobuf}}
	conn, _ := dialWatch(t, c, "&timeoutSeconds=1&resourceVersion=0&allowWatchBookmarks=true", page)
	kind, event, err := conn.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, websocket.BinaryMessage, kind)
	bookmark := &metav1.WatchEvent{}
	require.NoError(t, bookmark.Unmarshal(event), "a message is the event alone, without its length")
	require.NotEmpty(t, bookmark.Type)
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	require.True(t, websocket.IsCloseError(err, websocket.CloseNormalClosure), err)

	_, resp := dialWatch(t, c, "", nil)
	require.Equal(t, http.StatusForbidden, resp.StatusCode, "who does not say which page asks")
	_, resp = dialWatch(t, c, "&labelSelector=%3D", page)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode, "what is wrong is said before there is a WebSocket")
}
