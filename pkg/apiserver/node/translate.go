package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	client "k8s.io/client-go/tools/remotecommand"
	clientspdy "k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream/spdy"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

const (
	// idle is upstream's: who types nothing for so long has gone home.
	idle = 4 * time.Hour
	// ping keeps connections alive that something on the way would forget.
	ping = 5 * time.Second
)

// The channels of a terminal.
const (
	stdin = iota
	stdout
	stderr
	status
	resize
	channels
)

// translate ends a WebSocket here and carries its channels on as SPDY streams. From the moment the WebSocket is open,
// errors go through its status channel.
func (n *Nodes) translate(w http.ResponseWriter, r *http.Request, to *url.URL, s streams) error {
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{
		remotecommand.StreamProtocolV5Name: {Binary: true, Channels: s.channels()},
	})
	conn.SetIdleTimeout(idle)
	_, ends, err := conn.Open(w, r)
	if err != nil {
		return nil // the handshake has answered
	}
	defer conn.Close()
	err = n.stream(r, to, s, ends)
	b, encodeErr := json.Marshal(outcome(err))
	if encodeErr != nil {
		return nil
	}
	// A client that hung up is the only way this fails.
	_, _ = ends[status].Write(b)
	return nil
}

// channels says which ends of the WebSocket are read and which are written.
func (s streams) channels() []wsstream.ChannelType {
	types := make([]wsstream.ChannelType, channels)
	use := func(channel int, wanted bool, t wsstream.ChannelType) {
		types[channel] = wsstream.IgnoreChannel
		if wanted {
			types[channel] = t
		}
	}
	use(stdin, s.in, wsstream.ReadChannel)
	use(stdout, s.out, wsstream.WriteChannel)
	use(stderr, s.err, wsstream.WriteChannel)
	use(status, true, wsstream.WriteChannel)
	use(resize, true, wsstream.ReadChannel)
	return types
}

// stream opens the SPDY connection and copies until the command ends.
func (n *Nodes) stream(r *http.Request, to *url.URL, s streams, ends []io.ReadWriteCloser) error {
	trip, err := spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{UpgradeTransport: n.kubelet, PingPeriod: ping})
	if err != nil {
		return err
	}
	run, err := client.NewSPDYExecutorRejectRedirects(trip, clientspdy.NewUpgraderForStreaming(trip), http.MethodPost, to)
	if err != nil {
		return err
	}
	o := client.StreamOptions{Tty: s.tty}
	if s.in {
		o.Stdin = ends[stdin]
	}
	if s.out {
		o.Stdout = ends[stdout]
	}
	if s.err {
		o.Stderr = ends[stderr]
	}
	if s.tty {
		o.TerminalSizeQueue = sizes{json.NewDecoder(ends[resize])}
	} else {
		go io.Copy(io.Discard, ends[resize]) // or a client that sends one would block all channels
	}
	return run.StreamWithContext(r.Context(), o)
}

// sizes reads the sizes of the terminal from the resize channel.
type sizes struct{ from *json.Decoder }

// Next returns the next size, or nil at the end.
func (s sizes) Next() *client.TerminalSize {
	var size client.TerminalSize
	if s.from.Decode(&size) != nil {
		return nil
	}
	return &size
}

// outcome is what clients learn at the end: the command's exit code is a failure with a cause.
func outcome(err error) metav1.Status {
	var known *apierrors.StatusError
	var code exec.CodeExitError
	switch {
	case err == nil:
		return metav1.Status{Status: metav1.StatusSuccess}
	case errors.As(err, &known):
		return known.ErrStatus
	case errors.As(err, &code):
		return metav1.Status{
			Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason,
			Message: fmt.Sprintf("command terminated with non-zero exit code: %v", code),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
				{Type: remotecommand.ExitCodeCauseType, Message: fmt.Sprint(code.ExitStatus())},
			}},
		}
	}
	return apierrors.NewInternalError(err).ErrStatus
}
