package proxy

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"bonsai/pkg/reconcile/plantest"
)

// TestPlan reads a service and its slices from x.input.yaml; x.output.txt is what is written for it into empty tables. The
// tests' node is "here", the pods' range 10.244.0.0/16.
func TestPlan(t *testing.T) {
	inputs, _ := filepath.Glob("testdata/*.input.yaml")
	if len(inputs) == 0 {
		t.Fatal("no testdata")
	}
	for _, in := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(in), ".input.yaml"), func(t *testing.T) {
			svc, slices := readService(t, in)
			s := &script{}
			s.apply(change{next: plan(svc, slices, "here", "10.244.0.0/16")})
			plantest.Compare(t, strings.Replace(in, ".input.yaml", ".output.txt", 1), s.text())
		})
	}
}

func readService(t *testing.T, file string) (svc *v1.Service, slices []*discoveryv1.EndpointSlice) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	docs := yaml.NewYAMLReader(bufio.NewReader(f))
	for {
		doc, err := docs.Read()
		if err == io.EOF {
			return svc, slices
		}
		var kind metav1.TypeMeta
		if err == nil {
			err = sigsyaml.Unmarshal(doc, &kind)
		}
		if err == nil && kind.Kind == "Service" {
			svc = &v1.Service{}
			err = sigsyaml.UnmarshalStrict(doc, svc)
		} else if err == nil {
			s := &discoveryv1.EndpointSlice{}
			err = sigsyaml.UnmarshalStrict(doc, s)
			slices = append(slices, s)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
