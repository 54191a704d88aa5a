// Package hook calls the services that people put in charge of decisions by a kubeconfig file: who has this token, may they do this, and
// the archive of audit events. They are no part of the cluster and may be slow, away or overloaded, so a call that fails for such a
// reason is tried again a few times, further and further apart, for as long as the caller has time; an answer that is an answer
// is never asked for twice.
package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"bonsai/pkg/apiserver/oldcert"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// callTime bounds one try if nobody says otherwise.
	callTime = 30 * time.Second
	// maxAnswer is more than any review is.
	maxAnswer = 3 << 20
)

// Client calls one service.
type Client struct {
	// Servers is where the service's certificate is looked at; nil if nobody wants to know.
	Servers *oldcert.Counts

	url   string
	http  *http.Client
	retry wait.Backoff
}

// New returns a client of the service that the current context of the kubeconfig at path names. Nothing is called yet.
func New(path string) (*Client, error) { return NewWithin(path, callTime) }

// NewWithin is New with another bound of one try.
func NewWithin(path string, try time.Duration) (*Client, error) {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: path}, &clientcmd.ConfigOverrides{})
	c, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	c.Timeout = try
	client, err := rest.HTTPClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &Client{url: c.Host, http: client, retry: wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 5}}, nil
}

// transient marks failures after which trying again is worth it.
type transient struct{ error }

func (t transient) Unwrap() error { return t.error }

// Call posts in and reads the answer into out, which may be nil.
func (c *Client) Call(ctx context.Context, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	backoff := c.retry
	for {
		err := c.try(ctx, body, out)
		var again transient
		if !errors.As(err, &again) {
			return err
		}
		if backoff.Steps <= 1 {
			return again.error
		}
		select {
		case <-ctx.Done():
			return again.error
		case <-time.After(backoff.Step()):
		}
	}
}

func (c *Client) try(ctx context.Context, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	c.Servers.Look(req, resp, err)
	if err != nil {
		return transient{err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return transient{err}
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		return transient{fmt.Errorf("the service at %s answers %s", c.url, resp.Status)}
	case resp.StatusCode < 200 || resp.StatusCode >= 300:
		return fmt.Errorf("the service at %s answers %s", c.url, resp.Status)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the service at %s answers what cannot be read: %w", c.url, err)
	}
	return nil
}
