package encryption

import (
	"sync"
	"time"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
	kmsapi "k8s.io/kms/apis/v2"
)

// What a plugin was asked, by its methods' names in gRPC.
const (
	askedStatus  = kmsapi.KeyManagementService_Status_FullMethodName
	askedEncrypt = kmsapi.KeyManagementService_Encrypt_FullMethodName
	askedDecrypt = kmsapi.KeyManagementService_Decrypt_FullMethodName
)

// keysMost bounds the keys that are told apart: each is a label. After so many the counts of all begin anew.
const keysMost = 100

// keyMetrics are of plugins and their keys. Keys are called by fingerprints, as in messages.
type keyMetrics struct {
	server             string // the fingerprint of this API server's id
	asked              *prometheus.HistogramVec
	used               *prometheus.CounterVec
	lastUsed, lastTold *prometheus.GaugeVec
	invalid            *prometheus.CounterVec
	seeds              *prometheus.GaugeVec

	mu   sync.Mutex
	keys map[[2]string]bool
}

func newKeyMetrics(set *meter.Set, serverID string) *keyMetrics {
	const prefix = "apiserver_envelope_encryption_"
	return &keyMetrics{
		server: hashed(serverID), keys: map[[2]string]bool{},
		asked: set.Histogram(prefix+"kms_operations_latency_seconds", "Time of calls of KMS plugins.", prometheus.ExponentialBuckets(1e-4, 2, 20),
			"provider_name", "method_name", "grpc_status_code"),
		used: set.Counter(prefix+"key_id_hash_total", "Values encrypted and decrypted, by the key of the plugin.",
			"transformation_type", "provider_name", "key_id_hash", "apiserver_id_hash"),
		lastUsed: set.Gauge(prefix+"key_id_hash_last_timestamp_seconds", "When a key of a plugin was used last, in Unix time.",
			"transformation_type", "provider_name", "key_id_hash", "apiserver_id_hash"),
		lastTold: set.Gauge(prefix+"key_id_hash_status_last_timestamp_seconds", "When a plugin said last that this is its key, in Unix time.",
			"provider_name", "key_id_hash", "apiserver_id_hash"),
		invalid: set.Counter(prefix+"invalid_key_id_from_status_total", "Names of keys by plugins that cannot be names.", "provider_name", "error"),
		seeds:   set.Gauge(prefix+"dek_source_cache_size", "Seeds that are remembered, for which a plugin need not be asked.", "provider_name"),
	}
}

// answered counts a call of a plugin.
func (e *envelope) answered(method string, began time.Time, err error) {
	if e.counts != nil {
		e.counts.asked.WithLabelValues(e.name, method, codeOf(err)).Observe(time.Since(began).Seconds())
	}
}

// uses counts a value encrypted or decrypted.
func (e *envelope) uses(direction, keyID string) {
	if e.counts == nil {
		return
	}
	labels := []string{direction, e.name, e.counts.nameOf(e.name, keyID), e.counts.server}
	e.counts.used.WithLabelValues(labels...).Inc()
	e.counts.lastUsed.WithLabelValues(labels...).SetToCurrentTime()
}

// told notes which key the plugin says that it has.
func (e *envelope) told(keyID string) {
	if e.counts == nil {
		return
	}
	switch {
	case checkKeyID(keyID) == nil:
		e.counts.lastTold.WithLabelValues(e.name, e.counts.nameOf(e.name, keyID), e.counts.server).SetToCurrentTime()
	case keyID == "":
		e.counts.invalid.WithLabelValues(e.name, "empty").Inc()
	default:
		e.counts.invalid.WithLabelValues(e.name, "too_long").Inc()
	}
}

// remembers tells how many seeds there are.
func (e *envelope) remembers(n int) {
	if e.counts != nil {
		e.counts.seeds.WithLabelValues(e.name).Set(float64(n))
	}
}

// nameOf is the key's name in labels.
func (m *keyMetrics) nameOf(provider, keyID string) string {
	name := hashed(keyID)
	m.mu.Lock()
	defer m.mu.Unlock()
	if of := [2]string{provider, name}; !m.keys[of] {
		if len(m.keys) >= keysMost {
			clear(m.keys)
			m.used.Reset()
			m.lastUsed.Reset()
			m.lastTold.Reset()
		}
		m.keys[of] = true
	}
	return name
}
