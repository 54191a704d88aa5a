// Package apiserver puts the API server together: etcd and the image, who is who, who may what, admission, and the
// ways out to kubelets. It is the one place that knows all of them; pkg/apiserver itself knows interfaces.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/pkg/apiserver"
	"bonsai/pkg/apiserver/admission"
	admissionpolicy "bonsai/pkg/apiserver/admission/policy"
	"bonsai/pkg/apiserver/admission/webhook"
	"bonsai/pkg/apiserver/aggregation"
	"bonsai/pkg/apiserver/allocator"
	"bonsai/pkg/apiserver/audit"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/auth/authorization"
	"bonsai/pkg/apiserver/auth/policy"
	"bonsai/pkg/apiserver/auth/rbac"
	"bonsai/pkg/apiserver/customresource"
	"bonsai/pkg/apiserver/encryption"
	"bonsai/pkg/apiserver/live"
	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/node"
	"bonsai/pkg/apiserver/oldcert"
	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/pki"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"
)

// Options are what differs between clusters.
type Options struct {
	// DataDir is where etcd keeps its data, unless EtcdServers names one elsewhere.
	DataDir     string
	EtcdServers []string
	// BindAddress is the address to listen on, AdvertiseIP the one that pods reach the server by.
	BindAddress string
	Port        int
	AdvertiseIP net.IP
	PKI         *pki.PKI
	Settings
	// Beside is what other parts of this process count, which its /metrics shows, too.
	Beside []prometheus.Collector
	Logger *slog.Logger

	counts *meter.Set // of this server
	// webhooks is where the certificates of all are looked at that are asked by webhook.
	webhooks *oldcert.Counts
}

// Run serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	table, err := resource.NewRegistry(resource.Table())
	if err != nil {
		return err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.counts = meter.New()
	o.webhooks = oldcert.New(o.counts, "apiserver_webhooks_")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	encrypt, err := o.encryption(ctx, table)
	if err != nil {
		return err
	}
	cfg := apiserver.StoreConfig(table, o.storeConfig())
	cfg.Transform = encrypt
	st, err := store.Open(ctx, cfg)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	err = o.serve(ctx, table, st, encrypt)
	return errors.Join(err, st.Close())
}

func (o *Options) storeConfig() store.Config {
	if len(o.EtcdServers) > 0 {
		return store.Config{Endpoints: o.EtcdServers, Logger: o.Logger}
	}
	return store.Config{
		Dir:       filepath.Join(o.DataDir, "etcd"),
		ClientURL: "unix://" + filepath.Join(o.DataDir, "etcd.sock"),
		Logger:    o.Logger,
	}
}

func (o *Options) serve(ctx context.Context, table *resource.Registry, st *store.Store, encrypt *encryption.Transformer) error {
	address := net.JoinHostPort(o.BindAddress, strconv.Itoa(o.Port))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for clients: %w; `ss -ltnp sport = :%d` shows which program has the port: end that one", err, o.Port)
	}
	auditor, stop, err := o.audit(ctx)
	defer stop()
	var server *apiserver.Server
	var who *identity
	if err == nil {
		server, who, err = o.assemble(ctx, table, st, encrypt, auditor)
	}
	if err != nil {
		listener.Close()
		return err
	}
	return server.Serve(ctx, o.handshake(ctx, who), listener)
}

func (o *Options) assemble(ctx context.Context, table *resource.Registry, st *store.Store, encrypt *encryption.Transformer,
	auditor *audit.Auditor) (*apiserver.Server, *identity, error) {
	get := apiserver.NewGetter(st, table)
	kinds := live.Source{Context: ctx, Store: st, Table: table, Logger: o.Logger}
	tokens, err := auth.NewTokens(o.PKI.ServiceAccountKey, auth.Issuer, get, time.Now)
	if err != nil {
		return nil, nil, err
	}
	alloc, err := allocator.New(allocator.Config{
		Store: st, Encode: apiserver.Encoder(table), ServiceCIDR: netip.MustParsePrefix(parts.ServiceCIDR),
		FirstPort: parts.FirstNodePort, LastPort: parts.LastNodePort, Ranges: allocator.Ranges(kinds), Now: metav1.Now,
		Counts: allocator.NewMetrics(o.counts),
	})
	if err != nil {
		return nil, nil, err
	}
	nodes := node.New(node.Config{Get: get, Roots: o.PKI.Pool, Client: o.PKI.KubeletClient, Counts: node.NewMetrics(o.counts)})
	who, err := o.identity(ctx, tokens, get)
	if err != nil {
		return nil, nil, err
	}
	rights := rbac.New(kinds)
	access := authorization.NewMetrics(o.counts, o.serverID())
	access.Servers = o.webhooks
	authz, err := authorization.New(o.Authorization, auth.Node{Get: get}, rights, access, o.Logger)
	if err != nil {
		return nil, nil, err
	}
	go authz.Follow(ctx)
	definer := customresource.New(customresource.Config{Source: kinds, Services: nodes, Servers: o.webhooks})
	known := func(gvk schema.GroupVersionKind) (*resource.Row, *resource.Version, bool) {
		if row, ver, ok := table.ByKind(gvk); ok {
			return row, ver, true
		}
		return definedKind(definer, gvk)
	}
	config, err := admission.ReadConfig(o.AdmissionConfig)
	if err != nil {
		return nil, nil, err
	}
	dynamic, err := o.dynamicAdmission(kinds, get, authz, known, nodes, config)
	if err != nil {
		return nil, nil, err
	}
	admit, err := admission.New(admission.Deps{Config: config, Counts: o.counts, Get: get, Live: kinds, Authorizer: authz, Encode: apiserver.Encoder(table),
		Kinds: known, Dynamic: dynamic},
		o.EnableAdmissionPlugins, o.DisableAdmissionPlugins)
	if err != nil {
		return nil, nil, err
	}
	server, err := apiserver.New(apiserver.Config{
		Store:         st,
		Table:         table,
		Authenticator: who.authenticator,
		Audit:         auditor,
		Authorizer:    authz,
		Admission:     append(admit, rbac.Escalation{Rights: rights, Authorizer: authz}),
		Reviews:       auth.Reviews(who.bearer, authz, authz),
		Policy:        policy.Objects,
		Tokens:        tokens,
		Allocator:     alloc,
		Connect:       nodes,
		Definer:       definer,
		Aggregation: &apiserver.Aggregation{ProxyCA: o.PKI.CA, ClientCAs: func() []byte { return who.clients.after(o.PKI.CA) }, Config: aggregation.Config{
			Client: o.PKI.ProxyClient, Resolve: nodes.Endpoint, Servers: oldcert.New(o.counts, "apiserver_kube_aggregator_")}},
		Address:       net.JoinHostPort(o.AdvertiseIP.String(), strconv.Itoa(o.Port)),
		ServiceIP:     parts.ServiceIP.String(),
		ServiceCIDR:   parts.ServiceCIDR,
		AdvertiseIP:   o.AdvertiseIP.String(),
		AdvertisePort: int32(o.Port),
		HealthChecks:  o.healthChecks(encrypt),
		Counts:        o.counts,
		Beside:        o.Beside,
		Logger:        o.Logger,
	})
	return server, who, err
}

// dynamicAdmission is the part of admission that users configure, in upstream's order: what changes, then what refuses.
func (o *Options) dynamicAdmission(source live.Source, get *apiserver.Getter, authz auth.Authorizer,
	kinds func(schema.GroupVersionKind) (*resource.Row, *resource.Version, bool), nodes *node.Nodes,
	config admission.Config) (admission.Chain, error) {
	mutatingProof, err := proofOf(config, "MutatingAdmissionWebhook")
	if err != nil {
		return nil, err
	}
	validatingProof, err := proofOf(config, "ValidatingAdmissionWebhook")
	if err != nil {
		return nil, err
	}
	changing, refusing := webhook.New(webhook.Config{Source: source, Mutating: mutatingProof, Validating: validatingProof, Get: get, Resolve: nodes.Endpoint, Authorizer: authz,
		Counts: o.counts, Servers: o.webhooks, Logger: source.Logger})
	mutating, validating := admissionpolicy.New(admissionpolicy.Config{
		Source: source, Get: get, Custom: get, Authorizer: authz, Counts: o.counts, Logger: source.Logger, Types: apiserver.TypesOf, Kinds: kinds,
	})
	return admission.Chain{mutating, changing, validating, refusing}, nil
}

// proofOf returns what a plugin shows to its webhooks.
func proofOf(config admission.Config, plugin string) (*webhook.Credentials, error) {
	path := config.Credentials[plugin]
	if path == "" {
		return nil, nil
	}
	c, err := webhook.LoadCredentials(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't init admission plugin %q: %w", plugin, err)
	}
	return c, nil
}

// definedKind finds a kind among the newest definitions.
func definedKind(definer apiserver.Definer, gvk schema.GroupVersionKind) (*resource.Row, *resource.Version, bool) {
	rows, _ := definer.Rows()
	for _, row := range rows {
		for i := range row.Versions {
			if row.Kind == gvk.Kind && row.Versions[i].GroupVersion == gvk.GroupVersion() {
				return row, &row.Versions[i], true
			}
		}
	}
	return nil, nil, false
}
