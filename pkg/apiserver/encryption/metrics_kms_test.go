package encryption

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/meter/metertest"
)

// TestKeyMetrics: what a plugin is asked counts, and the keys that it tells of and that are used, by their fingerprints.
func TestKeyMetrics(t *testing.T) {
	set := meter.New()
	v := &vault{keyID: "one", healthz: "ok"}
	tr := mustLoad(t, entry("secrets", "kms: {apiVersion: v2, name: vault, endpoint: '"+v.open(t)+"'}"))
	tr.Counts = NewMetrics(set, "apiserver-x")
	require.NoError(t, tr.Start(t.Context()))
	e := tr.current.Load().plugins[0]

	stored, err := tr.ToStorage(t.Context(), secretKey, []byte(text))
	require.NoError(t, err)
	clear(e.openers)
	for range 2 {
		_, _, err = tr.FromStorage(t.Context(), secretKey, stored)
		require.NoError(t, err)
	}
	v.set("", "ok")
	require.Error(t, e.refresh(t.Context()))
	v.set(strings.Repeat("k", maxKeyID+1), "ok")
	require.Error(t, e.refresh(t.Context()))

	const prefix = "apiserver_envelope_encryption_"
	counted := func(name string) map[string]float64 { return metertest.Counted(t, set, prefix+name) }
	require.Equal(t, map[string]float64{
		"OK " + askedStatus + " vault": 3, "OK " + askedEncrypt + " vault": 1, "OK " + askedDecrypt + " vault": 1,
	}, counted("kms_operations_latency_seconds"))
	me, key := hashed("apiserver-x"), hashed("one")
	require.Equal(t, map[string]float64{me + " " + key + " vault to_storage": 1, me + " " + key + " vault from_storage": 2}, counted("key_id_hash_total"))
	require.Equal(t, map[string]float64{"empty vault": 1, "too_long vault": 1}, counted("invalid_key_id_from_status_total"))
	require.Equal(t, map[string]float64{"vault": 1}, counted("dek_source_cache_size"))
	require.Len(t, counted("key_id_hash_last_timestamp_seconds"), 2)
	require.Len(t, counted("key_id_hash_status_last_timestamp_seconds"), 1)

	for i := range 2 * keysMost {
		e.uses("to_storage", strconv.Itoa(i))
	}
	require.LessOrEqual(t, len(counted("key_id_hash_total")), keysMost)
}
