package apiserver

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// A watch may also come over a WebSocket, which is how pages in a browser watch: a browser's script cannot read an answer that never
// ends. Each event is a message of its own, of the very bytes that it is in a stream: text if they are JSON, binary if not.

// framed is the WebSocket of a watch.
type framed struct {
	conn *websocket.Conn
	kind int // of its messages
}

// farewellTime is how long a client may take to read that its watch has ended.
const farewellTime = time.Second

// frames makes a WebSocket of the watch's connection. Browsers say which page asks; who does not is refused, as upstream does.
func frames(c *call) (*framed, error) {
	up := websocket.Upgrader{
		CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") != "" },
		Error:       func(w http.ResponseWriter, _ *http.Request, code int, _ error) { w.WriteHeader(code) },
	}
	if offered := websocket.Subprotocols(c.r); len(offered) == 1 {
		up.Subprotocols = offered
	}
	conn, err := up.Upgrade(c.w, c.r, nil)
	if err != nil {
		return nil, err
	}
	c.w.status = http.StatusSwitchingProtocols
	kind := websocket.TextMessage
	if c.f.media == mediaProtobuf {
		kind = websocket.BinaryMessage
	}
	return &framed{conn, kind}, nil
}

// follow ends the watch when the client closes the WebSocket, and the WebSocket when the watch ends. What the client says is not
// listened to. The returned function says goodbye.
func (f *framed) follow(ctx context.Context, cancel context.CancelFunc) (end func()) {
	f.conn.SetReadLimit(maxTraceparent)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer cancel()
		for {
			if _, _, err := f.conn.NextReader(); err != nil {
				return
			}
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = f.conn.SetWriteDeadline(time.Now().Add(graceToRead)) })
	return func() {
		stop()
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		_ = f.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(farewellTime)) // the client may be gone
		_ = f.conn.Close()
		<-gone
	}
}

// Write sends b as one message.
func (f *framed) Write(b []byte) (int, error) {
	if err := f.conn.WriteMessage(f.kind, b); err != nil {
		return 0, err
	}
	return len(b), nil
}
