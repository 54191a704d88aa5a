package apiserver

import (
	"encoding/json"
	"math/rand"
	"testing"

	"bonsai/pkg/resource"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"
)

// TestFaultlessIsStrict holds the fast reader to the exact one: what it accepts, both read alike, for every kind.
func TestFaultlessIsStrict(t *testing.T) {
	fill := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(1), scheme.Codecs).MaxDepth(12)
	for _, row := range resource.Table() {
		for _, version := range row.Versions {
			tried, accepted := 0, 0
			for range 20 {
				obj := version.New()
				fill.Fill(obj)
				body, err := json.Marshal(obj)
				if err != nil {
					continue // the random bytes of a definition's defaults are no JSON
				}
				tried++
				quick, exact := version.New(), version.New()
				if !faultless(body, quick) {
					continue
				}
				accepted++
				strict, err := kjson.UnmarshalStrict(body, exact)
				require.NoError(t, err)
				require.Empty(t, strict)
				require.Empty(t, cmp.Diff(exact, quick), "%s", body)
			}
			require.True(t, accepted > 0 || tried == 0, "%s: the fast reader takes none", row.Kind)
		}
	}
}

// TestFaultsAreLeftToTheStrict lists what the fast reader must not take, and must leave nothing of.
func TestFaultsAreLeftToTheStrict(t *testing.T) {
	for _, body := range []string{
		`{"metadata":{"name":"a"},"Data":{}}`, `{"data":{"a":"1","a":"2"}}`, `{"data":{"a":1}}`, `{"metadata":{"name":"a","nam":"b"}}`,
		`{"data":{"a":"1"}} x`, `{"data":{"a":"1"`, "{\"data\":{\"a\":\"\xff\"}}", `[]`, `"a"`, ``,
	} {
		row := resource.Table()[0]
		obj := row.StorageVersion().New()
		require.False(t, faultless([]byte(body), obj), "%s", body)
		require.Equal(t, row.StorageVersion().New(), obj, "%s", body)
	}
}
