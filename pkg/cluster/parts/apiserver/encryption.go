package apiserver

import (
	"context"

	"bonsai/pkg/apiserver"
	"bonsai/pkg/apiserver/configfile"
	"bonsai/pkg/apiserver/encryption"
	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// encryption returns what encrypts values on their way to etcd; it works until ctx ends.
func (o *Options) encryption(ctx context.Context, table *resource.Registry) (*encryption.Transformer, error) {
	path := o.EncryptionConfig
	if path == "" {
		path = o.PKI.EncryptionConfig
	}
	builtIn := func(key string) (schema.GroupResource, bool) {
		row, _, ok := table.ByKey(key)
		if !ok {
			return schema.GroupResource{}, false
		}
		return schema.GroupResource{Group: row.Group(), Resource: row.Resource}, true
	}
	t, err := encryption.Load(path, encryption.ResourceOf(resource.KeyRoot, builtIn), o.Logger)
	if err != nil {
		return nil, err
	}
	t.Counts = encryption.NewMetrics(o.counts, o.serverID())
	if err := t.Start(ctx); err != nil {
		return nil, err
	}
	if o.EncryptionReload {
		go t.Follow(ctx, configfile.NewReloads(o.counts, "encryption_config_controller", o.serverID()))
	}
	return t, nil
}

// healthChecks are those of what the server depends on besides etcd.
func (o *Options) healthChecks(encrypt *encryption.Transformer) []apiserver.HealthCheck {
	if !encrypt.HasPlugins() && !o.EncryptionReload {
		return nil
	}
	return []apiserver.HealthCheck{{Name: "kms-providers", Ask: encrypt.Check}}
}
