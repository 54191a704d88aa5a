package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
)

// handshake is how connections begin. Clients are asked for a certificate, and told whose are believed, by which those with several choose.
// It is not verified here: who shows a bad one is told so in the API's words.
func (o *Options) handshake(ctx context.Context, who *identity) *tls.Config {
	base := &tls.Config{
		GetCertificate: o.servingCertificate(ctx),
		ClientAuth:     tls.RequestClientCert,
		MinVersion:     tls.VersionTLS12,
	}
	var made atomic.Pointer[greeting]
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := greeting{clients: who.clients.current.Load()}
		if who.proxies != nil {
			now.proxies = who.proxies.current.Load()
		}
		g := made.Load()
		if g == nil || g.clients != now.clients || g.proxies != now.proxies {
			g = &now
			g.config = base.Clone()
			g.config.NextProtos = []string{"h2", "http/1.1"}
			g.config.ClientCAs = now.believed()
			made.Store(g)
		}
		return g.config, nil
	}
	return base
}

// greeting is the configuration of connections while these are believed.
type greeting struct {
	clients, proxies *authorities
	config           *tls.Config
}

func (g *greeting) believed() *x509.CertPool {
	if g.proxies == nil {
		return g.clients.pool
	}
	all := g.clients.pool.Clone()
	all.AppendCertsFromPEM(g.proxies.pem)
	return all
}
