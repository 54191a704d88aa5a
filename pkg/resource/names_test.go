package resource

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
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
		agree("label value", isLabelValue(name), validation.IsValidLabelValue(name))
		for _, prefix := range []bool{false, true} {
			require.Equal(t, apivalidation.NameIsDNSLabel(name, prefix), labelName(name, prefix), name)
			require.Equal(t, apivalidation.NameIsDNSSubdomain(name, prefix), subdomainName(name, prefix), name)
		}
	})
}

// TestOtherTags: the short way to the pull policy ends where the long one does.
func TestOtherTags(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		image := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"nginx", "example.com", "localhost", ":", "/", "@", "latest", "1.2", "5000", "A", "-", " ", "sha256:", strings.Repeat("0f", 32),
		}), 0, 7).Draw(t, "parts"), "")
		if hasOtherTag(image) {
			named, err := reference.ParseNormalizedNamed(image)
			if err == nil {
				tagged, ok := named.(reference.Tagged)
				require.True(t, ok && tagged.Tag() != "latest", image)
			}
		}
	})
}
