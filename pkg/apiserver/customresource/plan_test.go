package customresource

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"bonsai/pkg/golden"
)

var moment = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestPlans holds what is planned for the definitions of each testdata/NAME.yaml, as text, to NAME.plan.
func TestPlans(t *testing.T) {
	golden.Each(t, "testdata/*.yaml", ".plan", func(t *testing.T, text string) string {
		var crds []*apiextensionsv1.CustomResourceDefinition
		for doc := range strings.SplitSeq(text, "\n---\n") {
			crd := &apiextensionsv1.CustomResourceDefinition{}
			require.NoError(t, yaml.UnmarshalStrict([]byte(doc), crd))
			apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
			crds = append(crds, crd)
		}
		return story(crds)
	})
}

func story(crds []*apiextensionsv1.CustomResourceDefinition) string {
	var b strings.Builder
	plan := planStatus(crds, moment)
	for _, crd := range crds {
		s := plan[crd.Name]
		n := s.AcceptedNames
		fmt.Fprintf(&b, "%s: %s %s %v %s %s\n", crd.Name, n.Plural, n.Singular, n.ShortNames, n.Kind, n.ListKind)
		for _, c := range s.Conditions {
			fmt.Fprintf(&b, "  %s=%s since %s: %s, %s\n", c.Type, c.Status, c.LastTransitionTime.UTC().Format(time.DateOnly), c.Reason, c.Message)
		}
	}
	return b.String()
}

// TestNamesAreNeverShared plans over random claims, again and again as definitions come and go: no name has two owners, and what is
// planned once nothing changes is what was planned before.
func TestNamesAreNeverShared(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		var crds []*apiextensionsv1.CustomResourceDefinition
		for step := range 6 {
			crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(step), CreationTimestamp: metav1.NewTime(moment)}}
			name := func(what string) string { return rapid.SampledFrom(names).Draw(t, what) }
			crd.Spec.Group = rapid.SampledFrom([]string{"x.com", "y.com"}).Draw(t, "group")
			crd.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{
				Plural: name("plural"), Singular: name("singular"), ShortNames: []string{name("short")}, Kind: name("kind"), ListKind: name("list") + "List",
			}
			crds = append(crds, crd)
			if rapid.Bool().Draw(t, "delete") {
				crds = slices.Delete(crds, 0, 1)
			}
			plan := planStatus(crds, moment)
			for _, crd := range crds {
				crd.Status = plan[crd.Name]
			}
			again := planStatus(crds, moment.Add(time.Hour))
			owners := map[string]string{}
			for _, crd := range crds {
				if fmt.Sprint(again[crd.Name]) != fmt.Sprint(crd.Status) {
					t.Fatalf("planned %v, and then %v", crd.Status, again[crd.Name])
				}
				n := crd.Status.AcceptedNames
				for _, claim := range []string{"kind/" + n.Kind, "kind/" + n.ListKind, "resource/" + n.Plural} {
					key := crd.Spec.Group + "/" + claim
					if other := owners[key]; other != "" && !strings.HasSuffix(claim, "/") {
						t.Fatalf("%s is of %s and of %s", key, other, crd.Name)
					}
					owners[key] = crd.Name
				}
			}
		}
	})
}
