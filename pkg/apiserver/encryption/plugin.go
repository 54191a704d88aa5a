package encryption

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kmsapi "k8s.io/kms/apis/v2"
)

// plugin speaks to a KMS plugin over its unix socket.
type plugin struct {
	conn    *grpc.ClientConn
	client  kmsapi.KeyManagementServiceClient
	timeout time.Duration
}

// dial returns the plugin at endpoint, unix:///PATH, or unix:///@NAME for a socket that is no file. It connects when it is first used.
func dial(endpoint string, timeout time.Duration) (*plugin, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("invalid endpoint %q for remote KMS provider, error: %w", endpoint, err)
	}
	target := "unix://" + u.Path
	if name, ok := strings.CutPrefix(u.Path, "/@"); ok {
		target = "unix-abstract:" + name
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return nil, err
	}
	return &plugin{conn, kmsapi.NewKeyManagementServiceClient(conn), timeout}, nil
}

// Close ends the connection.
func (p *plugin) Close() error { return p.conn.Close() }

// Status asks the plugin how it is.
func (p *plugin) Status(ctx context.Context) (*kmsapi.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.client.Status(ctx, &kmsapi.StatusRequest{})
}

// Encrypt has a seed encrypted.
func (p *plugin) Encrypt(ctx context.Context, plain []byte) (*kmsapi.EncryptResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.client.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: plain, Uid: uuid.NewString()})
}

// Decrypt has a seed decrypted.
func (p *plugin) Decrypt(ctx context.Context, r *kmsapi.DecryptRequest) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	r.Uid = uuid.NewString()
	got, err := p.client.Decrypt(ctx, r)
	if err != nil {
		return nil, err
	}
	return got.Plaintext, nil
}
