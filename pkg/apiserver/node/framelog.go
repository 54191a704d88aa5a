package node

import (
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// A log may also come over a WebSocket, which is how pages in a browser follow one. It begins with an empty message, so that a page knows
// at once that there is a log; then each piece is a message, of bytes or of their base64 as the client has asked for. What the client says
// is not listened to.

const (
	binaryLog = "binary.k8s.io"
	base64Log = "base64.binary.k8s.io"
)

// framing is for clients of any origin, like upgrader.
var framing = websocket.Upgrader{
	Subprotocols: []string{binaryLog, base64Log},
	CheckOrigin:  func(*http.Request) bool { return true },
	Error:        func(w http.ResponseWriter, _ *http.Request, code int, _ error) { w.WriteHeader(code) },
}

const (
	// farewellTime is how long a client may take to read that its log has ended.
	farewellTime = time.Second
	// maxFromReader is more than anybody says who reads a log.
	maxFromReader = 4096
)

// frameLog sends the log in messages, until it ends or the client goes. Clients that offer only other protocols are refused.
func frameLog(w http.ResponseWriter, r *http.Request, log io.ReadCloser) error {
	offered := websocket.Subprotocols(r)
	known := func(p string) bool { return slices.Contains(framing.Subprotocols, p) }
	if len(offered) > 0 && !slices.ContainsFunc(offered, known) {
		w.WriteHeader(http.StatusForbidden)
		return nil
	}
	ws, err := framing.Upgrade(w, r, nil)
	if err != nil {
		return nil // the upgrader has answered
	}
	defer ws.Close()
	ws.SetReadLimit(maxFromReader)
	go func() {
		defer log.Close() // which ends the copying
		for {
			if _, _, err := ws.NextReader(); err != nil {
				return
			}
		}
	}()
	if copyFrames(ws, log) == nil {
		bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		_ = ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(farewellTime)) // the client may be gone
	}
	return nil
}

// copyFrames makes a message of each piece of the log.
func copyFrames(ws *websocket.Conn, log io.Reader) error {
	send := func(b []byte) error { return ws.WriteMessage(websocket.BinaryMessage, b) }
	if ws.Subprotocol() == base64Log {
		send = func(b []byte) error {
			return ws.WriteMessage(websocket.TextMessage, base64.StdEncoding.AppendEncode(nil, b))
		}
	}
	b := make([]byte, 32<<10)
	for got, end := 0, error(nil); ; got, end = log.Read(b) {
		if got > 0 || end == nil {
			if err := send(b[:got]); err != nil {
				return err
			}
		}
		if end != nil {
			return nil
		}
	}
}
