package node

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/apimachinery/pkg/util/proxy"
	clientforward "k8s.io/client-go/tools/portforward"
)

// answerWithin bounds the kubelet's answer to an upgrade.
const answerWithin = 30 * time.Second

// upgrader takes clients of any origin: they have authenticated themselves, by more than a cookie.
var upgrader = websocket.Upgrader{
	Subprotocols: []string{portforward.WebsocketsSPDYTunnelingPortForwardV1},
	CheckOrigin:  func(*http.Request) bool { return true },
	Error:        func(http.ResponseWriter, *http.Request, int, error) {}, // Connect returns it
}

// tunnel dials the kubelet with SPDY first, so that its refusal can still become an ordinary answer; then it opens the
// WebSocket and copies the bytes of the one into the messages of the other.
func (n *Nodes) tunnel(w http.ResponseWriter, r *http.Request, at *url.URL, to Connection) error {
	kubelet, err := n.dialSPDY(r, at, to)
	if err != nil {
		return err
	}
	defer kubelet.Close()
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return apierrors.NewBadRequest("unable to upgrade: " + err.Error())
	}
	client := clientforward.NewTunnelingConnection("apiserver", ws)
	defer client.Close()
	join(client, kubelet)
	return nil
}

// join copies in both directions until one of them ends.
func join(a, b io.ReadWriter) {
	done := make(chan struct{}, 2)
	for _, ends := range [][2]io.ReadWriter{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(ends[0], ends[1]) // how it ended is told inside the stream
			done <- struct{}{}
		}()
	}
	<-done
}

// dialSPDY asks the kubelet to upgrade to SPDY, and returns the connection, at the first byte after its answer.
func (n *Nodes) dialSPDY(r *http.Request, at *url.URL, to Connection) (net.Conn, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, at.String(), nil)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "SPDY/3.1")
	req.Header.Set("X-Stream-Protocol-Version", portforward.PortForwardV1Name)
	conn, err := proxy.NewUpgradeAwareHandler(at, n.kubelet, false, true, nil).DialForUpgrade(req)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("dial the kubelet: %w", err))
	}
	if err := conn.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
		conn.Close()
		return nil, apierrors.NewInternalError(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		conn.Close()
		return nil, apierrors.NewInternalError(fmt.Errorf("read the kubelet's answer: %w", err))
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer conn.Close()
		if err := refused(resp, to); err != nil {
			return nil, err
		}
		return nil, apierrors.NewInternalError(fmt.Errorf("the kubelet answered %s instead of upgrading to SPDY", resp.Status))
	}
	return &upgraded{Conn: conn, in: in}, conn.SetReadDeadline(time.Time{})
}

// upgraded is a connection of which a little was read ahead.
type upgraded struct {
	net.Conn
	in *bufio.Reader
}

// Read reads what was read ahead, and then the rest.
func (u *upgraded) Read(b []byte) (int, error) { return u.in.Read(b) }
