package deployment

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		return plan(state{
			deployment:  plantest.First[*appsv1.Deployment](o),
			replicaSets: plantest.Of[*appsv1.ReplicaSet](o),
			pods:        plantest.Of[*corev1.Pod](o),
		}, plantest.Now)
	})
}

// The hash of a template is upstream's, so that a cluster's ReplicaSets keep their names whoever runs its controllers.
func TestTemplateHash(t *testing.T) {
	template := &corev1.PodTemplateSpec{}
	err := json.Unmarshal([]byte(`{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"nginx:1.29","imagePullPolicy":"IfNotPresent",
		"name":"nginx","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],
		"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},
		"terminationGracePeriodSeconds":30}}`), template)
	if err != nil {
		t.Fatal(err)
	}
	if hash := templateHash(template, nil); hash != "689b9bdbdd" {
		t.Errorf("the hash is %s", hash)
	}
	one := int32(1)
	if a, b := templateHash(template, nil), templateHash(template, &one); a == b {
		t.Errorf("a collision has to change the hash, it stays %s", a)
	}
}

func TestRemember(t *testing.T) {
	list := ""
	for range 1500 {
		list = remember(list, "10")
	}
	if len(list) > historyLength || list[:3] != "10," {
		t.Errorf("%d characters, starts with %q", len(list), list[:3])
	}
}
