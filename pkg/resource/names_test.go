package resource

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

// TestNamesAgree holds the quick rules for names to those of apimachinery.
func TestNamesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"a", "Z", "9", "-", "_", ".", "/", " ", "é", "{", "`", "@", "[", ":", "web", "example.com", strings.Repeat("x", 62), strings.Repeat("y", 63),
		}), 0, 8).Draw(t, "parts"), "")
		agree := func(rule string, right bool, problems []string) {
			require.Equal(t, len(problems) == 0, right, "%s: %q", rule, name)
		}
		agree("label", isLabel(name), validation.IsDNS1123Label(name))
		agree("subdomain", isSubdomain(name), validation.IsDNS1123Subdomain(name))
		agree("qualified", isQualified(name), validation.IsQualifiedName(name))
		agree("label value", name == "" || isWord(name), validation.IsValidLabelValue(name))
		for _, prefix := range []bool{false, true} {
			require.Equal(t, apivalidation.NameIsDNSLabel(name, prefix), labelName(name, prefix), name)
			require.Equal(t, apivalidation.NameIsDNSSubdomain(name, prefix), subdomainName(name, prefix), name)
		}
	})
}
