package scheduler

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"pgregory.net/rapid"
	sigsyaml "sigs.k8s.io/yaml"

	"bonsai/pkg/reconcile/plantest"
)

// TestPlan reads a cluster from x.input.yaml (nodes, namespaces, pods with a node and pods without) and places the pods
// without one after the other, each counted before the next; x.output.txt says where each went and why.
func TestPlan(t *testing.T) {
	inputs, _ := filepath.Glob("testdata/*.input.yaml")
	if len(inputs) == 0 {
		t.Fatal("no testdata")
	}
	for _, in := range inputs {
		name := strings.TrimSuffix(filepath.Base(in), ".input.yaml")
		t.Run(name, func(t *testing.T) {
			s, newcomers := readCluster(t, in)
			var got strings.Builder
			for _, p := range newcomers {
				d := plan(p, s)
				where := "nowhere"
				if d.node != "" {
					where = d.node
					p.Spec.NodeName = d.node
					s.setPod(p)
				}
				fmt.Fprintf(&got, "%s -> %s: %s\n", p.Name, where, d.reason)
			}
			plantest.Compare(t, strings.Replace(in, ".input.yaml", ".output.txt", 1), got.String())
		})
	}
}

func readCluster(t *testing.T, file string) (*state, []*v1.Pod) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newState()
	var newcomers []*v1.Pod
	docs := yaml.NewYAMLReader(bufio.NewReader(f))
	for {
		doc, err := docs.Read()
		if err == io.EOF {
			return s, newcomers
		}
		if err != nil {
			t.Fatal(err)
		}
		if p := readObject(t, s, doc); p != nil {
			newcomers = append(newcomers, p)
		}
	}
}

func readObject(t *testing.T, s *state, doc []byte) *v1.Pod {
	t.Helper()
	into := func(o any) {
		if err := sigsyaml.UnmarshalStrict(doc, o); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
	}
	var kind metav1.TypeMeta
	if err := sigsyaml.Unmarshal(doc, &kind); err != nil {
		t.Fatal(err)
	}
	switch kind.Kind {
	case "Node":
		n := &v1.Node{}
		into(n)
		s.setNode(n)
	case "Namespace":
		n := &v1.Namespace{}
		into(n)
		s.namespaces[n.Name] = labels.Set(n.Labels)
	case "Pod":
		p := &v1.Pod{}
		into(p)
		p.UID = types.UID(p.Name)
		if p.Namespace == "" {
			p.Namespace = "default"
		}
		if p.Spec.NodeName == "" {
			return p
		}
		s.setPod(p)
	default:
		t.Fatalf("kind %q", kind.Kind)
	}
	return nil
}

// TestDeltasEqualRecount: after any series of changes the sums are what counting afresh gives, and no node is given more
// than it has.
func TestDeltasEqualRecount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newState()
		nodes := rapid.IntRange(1, 5).Draw(t, "nodes")
		for i := range nodes {
			s.setNode(testNode(fmt.Sprintf("n%d", i), 1000, 4<<30, 6))
		}
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "delete") && len(s.on) > 0 {
				for uid := range s.on {
					s.removePod(uid)
					break
				}
				continue
			}
			p := testPod(fmt.Sprintf("p%d", step), int64(rapid.IntRange(0, 600).Draw(t, "cpu")))
			if rapid.Bool().Draw(t, "port") {
				p.Spec.Containers[0].Ports = []v1.ContainerPort{{HostPort: 80}}
			}
			if d := plan(p, s); d.node != "" {
				p.Spec.NodeName = d.node
				s.setPod(p)
			}
		}
		for _, n := range s.nodes {
			checkSums(t, n)
		}
	})
}

func checkSums(t *rapid.T, n *nodeState) {
	fresh := &nodeState{ports: map[hostPort]int{}}
	for _, p := range n.pods {
		fresh.count(p, 1)
	}
	if fresh.requested.milliCPU != n.requested.milliCPU || fresh.scored.memory != n.scored.memory || len(fresh.ports) != len(n.ports) {
		t.Fatalf("%s: sums %+v, counted afresh %+v", n.name, n.requested, fresh.requested)
	}
	if n.requested.milliCPU > n.allocatable.milliCPU || int64(len(n.pods)) > n.maxPods {
		t.Fatalf("%s: %d of %d mCPU given away to %d pods", n.name, n.requested.milliCPU, n.allocatable.milliCPU, len(n.pods))
	}
	for hp, held := range n.ports {
		if held > 1 {
			t.Fatalf("%s: port %v given away twice", n.name, hp)
		}
	}
}
