package admission

import (
	"context"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// objects is a Getter; keys are "resource/namespace/name".
type objects map[string]resource.Object

func (o objects) Get(_ context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	if obj, ok := o[r.String()+"/"+namespace+"/"+name]; ok {
		return obj, nil
	}
	return nil, apierrors.NewNotFound(r, name)
}

func (o objects) Held(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	return o.Get(ctx, r, namespace, name)
}

func (o objects) List(_ context.Context, r schema.GroupResource, namespace string) ([]resource.Object, error) {
	var list []resource.Object
	for key, obj := range o {
		if strings.HasPrefix(key, r.String()+"/"+namespace) {
			list = append(list, obj)
		}
	}
	return list, nil
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name + "-uid")}
}

// cluster is a namespace shop with its default account, and one that is being deleted.
func cluster() objects {
	return objects{
		"namespaces//shop": &corev1.Namespace{ObjectMeta: named("", "shop")},
		"namespaces//gone": &corev1.Namespace{ObjectMeta: named("", "gone"), Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}},
		"serviceaccounts/shop/default": &corev1.ServiceAccount{ObjectMeta: named("shop", "default"),
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}}},
	}
}

// request makes attributes for an object of the resource ("pods", "pods/status", "leases.coordination.k8s.io").
func request(op Operation, what string, next, old runtime.Object) *Attributes {
	what, sub, _ := strings.Cut(what, "/")
	name, group, _ := strings.Cut(what, ".")
	row := &resource.Row{Resource: name, Kind: name, Versions: []resource.Version{{GroupVersion: schema.GroupVersion{Group: group, Version: "v1"}}}}
	a := &Attributes{Operation: op, Row: row, Subresource: sub, Object: next, Old: old}
	for _, o := range []runtime.Object{old, next} {
		if o, ok := o.(metav1.Object); ok {
			a.Namespace = o.GetNamespace()
			if op != Create {
				a.Name = o.GetName()
			}
		}
	}
	return a
}

// chain is the default one, with known names and no waiting; each wait is told to waited.
func chain(g Getter, waited func()) Chain {
	return Default(Deps{Get: g, Name: func(prefix, _ string) string { return prefix + "x" }, Wait: func(context.Context, time.Duration) {
		if waited != nil {
			waited()
		}
	}})
}

func run(t *testing.T, g Getter, a *Attributes) error {
	t.Helper()
	c := chain(g, nil)
	if err := c.Admit(context.Background(), a); err != nil {
		return err
	}
	return c.Validate(context.Background(), a)
}

func TestOrder(t *testing.T) {
	var names []string
	for _, p := range chain(cluster(), nil) {
		names = append(names, p.Name())
	}
	require.Equal(t, []string{"NamespaceLifecycle", "LimitRanger", "ServiceAccount", "NodeRestriction", "TaintNodesByCondition", "PodSecurity", "Priority",
		"DefaultTolerationSeconds", "DefaultStorageClass", "StorageObjectInUseProtection", "PersistentVolumeClaimResize", "RuntimeClass",
		"CertificateApproval", "CertificateSigning", "ClusterTrustBundleAttest", "CertificateSubjectRestriction", "DefaultIngressClass",
		"PodTopologyLabels", "PodResizeValidator", "PodCertificateSigning", "DeviceAdminAccess",
		"ResourceClaimStatusAuthorization", "ResourceQuota"}, names)
}

func TestChoice(t *testing.T) {
	c, err := New(Deps{Get: cluster(), Dynamic: Chain{TaintNodesByCondition{}}}, []string{"OwnerReferencesPermissionEnforcement"}, []string{"PodSecurity"})
	require.NoError(t, err)
	var names []string
	for _, p := range c {
		names = append(names, p.Name())
	}
	require.Contains(t, names, "OwnerReferencesPermissionEnforcement")
	require.NotContains(t, names, "PodSecurity")
	require.Equal(t, []string{"TaintNodesByCondition", "ResourceQuota"}, names[len(names)-2:])
	_, err = New(Deps{}, []string{"Nonsense"}, nil)
	require.EqualError(t, err, `enable-admission-plugins plugin "Nonsense" is unknown`)
	_, err = New(Deps{}, []string{"EventRateLimit"}, []string{"PodNodeSelector"})
	require.EqualError(t, err, `enable-admission-plugins plugin "EventRateLimit" is not implemented here`)
	_, err = New(Deps{}, nil, missing)
	require.NoError(t, err, "what is not there is off")
	names = nil
	for _, p := range Default(Deps{}) {
		names = append(names, p.Name())
	}
	c, err = New(Deps{}, nil, names)
	require.NoError(t, err)
	require.Empty(t, c, "all can be switched off")
	_, err = New(Deps{}, []string{"PodSecurity"}, []string{"PodSecurity"})
	require.EqualError(t, err, `[PodSecurity] in enable-admission-plugins and disable-admission-plugins overlapped`)
}

func TestNamespaceLifecycle(t *testing.T) {
	in := func(ns string) *corev1.ConfigMap { return &corev1.ConfigMap{ObjectMeta: named(ns, "c")} }
	ns := func(name string) *corev1.Namespace { return &corev1.Namespace{ObjectMeta: named("", name)} }
	for name, tc := range map[string]struct {
		a    *Attributes
		want string
	}{
		"create":                  {request(Create, "configmaps", in("shop"), nil), ""},
		"no such namespace":       {request(Create, "configmaps", in("nowhere"), nil), `namespaces "nowhere" not found`},
		"terminating":             {request(Create, "configmaps", in("gone"), nil), `configmaps "c" is forbidden: unable to create new content in namespace gone because it is being terminated`},
		"update in terminating":   {request(Update, "configmaps", in("gone"), in("gone")), ""},
		"delete in terminating":   {request(Delete, "configmaps", nil, in("gone")), ""},
		"review in none":          {request(Create, "localsubjectaccessreviews.authorization.k8s.io", in("nowhere"), nil), ""},
		"cluster scoped":          {request(Create, "nodes", &corev1.Node{ObjectMeta: named("", "n")}, nil), ""},
		"a namespace":             {request(Create, "namespaces", ns("new"), nil), ""},
		"delete a namespace":      {request(Delete, "namespaces", nil, ns("shop")), ""},
		"delete an immortal one":  {request(Delete, "namespaces", nil, ns("kube-system")), `namespaces "kube-system" is forbidden: this namespace may not be deleted`},
		"delete the default one":  {request(Delete, "namespaces", nil, ns("default")), `namespaces "default" is forbidden: this namespace may not be deleted`},
		"update of the immortal":  {request(Update, "namespaces", ns("default"), ns("default")), ""},
		"token in a terminating":  {request(Create, "serviceaccounts/token", in("gone"), nil), `serviceaccounts "c" is forbidden: unable to create new content in namespace gone because it is being terminated`},
		"generated name, refused": {request(Create, "configmaps", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "gone", GenerateName: "c-"}}, nil), `configmaps "c-" is forbidden: unable to create new content in namespace gone because it is being terminated`},
	} {
		t.Run(name, func(t *testing.T) { check(t, tc.want, run(t, cluster(), tc.a)) })
	}
	err := run(t, cluster(), request(Create, "configmaps", in("gone"), nil))
	require.True(t, apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause))
	require.True(t, apierrors.IsNotFound(run(t, cluster(), request(Create, "configmaps", in("nowhere"), nil))))
}

func check(t *testing.T, want string, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	require.EqualError(t, err, want)
}

func pod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: named("shop", "web"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}}}
	if change != nil {
		change(p)
	}
	return p
}

func TestServiceAccountFillsInThePod(t *testing.T) {
	p := pod(func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init"}}
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "b", VolumeMounts: []corev1.VolumeMount{{Name: "own", MountPath: tokenPath}}})
	})
	require.NoError(t, run(t, cluster(), request(Create, "pods", p, nil)))
	require.Equal(t, "default", p.Spec.ServiceAccountName)
	require.Equal(t, "default", p.Spec.DeprecatedServiceAccount)
	require.Equal(t, []corev1.LocalObjectReference{{Name: "pull"}}, p.Spec.ImagePullSecrets)
	require.Len(t, p.Spec.Volumes, 1)
	require.Equal(t, "kube-api-access-x", p.Spec.Volumes[0].Name)
	require.Equal(t, int32(0o644), *p.Spec.Volumes[0].Projected.DefaultMode)
	require.Equal(t, int64(3607), *p.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds)
	mount := []corev1.VolumeMount{{Name: "kube-api-access-x", ReadOnly: true, MountPath: tokenPath}}
	require.Equal(t, mount, p.Spec.InitContainers[0].VolumeMounts)
	require.Equal(t, mount, p.Spec.Containers[0].VolumeMounts)
	require.Equal(t, "own", p.Spec.Containers[1].VolumeMounts[0].Name)

	// What was filled in is not filled in again, as when a pod is copied.
	again := p.DeepCopy()
	require.NoError(t, run(t, cluster(), request(Create, "pods", again, nil)))
	require.Equal(t, p.Spec, again.Spec)
}

func TestServiceAccountIsChosen(t *testing.T) {
	no, yes := false, true
	for name, tc := range map[string]struct {
		pod     func(*corev1.Pod)
		account *bool
		volumes int
		want    string
	}{
		"missing":                      {pod: func(p *corev1.Pod) { p.Spec.ServiceAccountName = "ghost" }, want: `pods "web" is forbidden: error looking up service account shop/ghost: serviceaccount "ghost" not found`},
		"the account says no":          {account: &no},
		"the pod says no":              {pod: func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = &no }, account: &yes},
		"the pod says yes":             {pod: func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = &yes }, account: &no, volumes: 1},
		"by its older name":            {pod: func(p *corev1.Pod) { p.Spec.DeprecatedServiceAccount = "ghost" }, want: `pods "web" is forbidden: error looking up service account shop/ghost: serviceaccount "ghost" not found`},
		"a mirror pod with an account": {pod: mirror("oak", func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" }), want: `pods "web" is forbidden: a mirror pod may not reference service accounts`},
		"a mirror pod":                 {pod: mirror("oak", nil)},
	} {
		t.Run(name, func(t *testing.T) {
			g := cluster()
			g["serviceaccounts/shop/default"].(*corev1.ServiceAccount).AutomountServiceAccountToken = tc.account
			p := pod(tc.pod)
			check(t, tc.want, run(t, g, request(Create, "pods", p, nil)))
			require.Len(t, p.Spec.Volumes, tc.volumes)
		})
	}
}

// The default account of a new namespace comes a moment after it; a pod created in between must not fail.
func TestServiceAccountIsAwaited(t *testing.T) {
	g := cluster()
	sa := g["serviceaccounts/shop/default"]
	delete(g, "serviceaccounts/shop/default")
	waits := 0
	c := chain(g, func() {
		if waits++; waits == 3 {
			g["serviceaccounts/shop/default"] = sa
		}
	})
	require.NoError(t, c.Admit(context.Background(), request(Create, "pods", pod(nil), nil)))
	require.Equal(t, 3, waits)

	delete(g, "serviceaccounts/shop/default")
	waits = 3
	require.ErrorContains(t, c.Admit(context.Background(), request(Create, "pods", pod(nil), nil)), `serviceaccount "default" not found`)
}

func TestPriority(t *testing.T) {
	never, n7 := corev1.PreemptNever, int32(7)
	class := func(name string, value int32, global bool) *schedulingv1.PriorityClass {
		return &schedulingv1.PriorityClass{ObjectMeta: named("", name), Value: value, GlobalDefault: global, PreemptionPolicy: &never}
	}
	withClasses := func(cs ...*schedulingv1.PriorityClass) objects {
		g := cluster()
		for _, c := range cs {
			g["priorityclasses.scheduling.k8s.io//"+c.Name] = c
		}
		return g
	}
	asks := func(name string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.PriorityClassName = name } }
	for name, tc := range map[string]struct {
		g      objects
		pod    func(*corev1.Pod)
		class  string
		value  int32
		policy corev1.PreemptionPolicy
		want   string
	}{
		"none":             {g: cluster(), policy: corev1.PreemptLowerPriority},
		"by name":          {g: withClasses(class("high", 10, false)), pod: asks("high"), class: "high", value: 10, policy: never},
		"global default":   {g: withClasses(class("high", 10, true), class("low", 5, true)), class: "low", value: 5, policy: never},
		"system":           {g: cluster(), pod: asks("system-node-critical"), class: "system-node-critical", value: 2000001000, policy: corev1.PreemptLowerPriority},
		"unknown":          {g: cluster(), pod: asks("ghost"), want: `pods "web" is forbidden: no PriorityClass with name ghost was found`},
		"number given":     {g: cluster(), pod: func(p *corev1.Pod) { p.Spec.Priority = &n7 }, want: `pods "web" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name`},
		"the right number": {g: withClasses(class("seven", 7, false)), pod: func(p *corev1.Pod) { p.Spec.PriorityClassName, p.Spec.Priority = "seven", &n7 }, class: "seven", value: 7, policy: never},
		"policy given":     {g: cluster(), pod: func(p *corev1.Pod) { p.Spec.PreemptionPolicy = &never }, want: `pods "web" is forbidden: the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name`},
	} {
		t.Run(name, func(t *testing.T) {
			p := pod(tc.pod)
			err := run(t, tc.g, request(Create, "pods", p, nil))
			check(t, tc.want, err)
			if tc.want == "" {
				require.Equal(t, tc.class, p.Spec.PriorityClassName)
				require.Equal(t, tc.value, *p.Spec.Priority)
				require.Equal(t, tc.policy, *p.Spec.PreemptionPolicy)
			}
		})
	}
	old := pod(func(p *corev1.Pod) { p.Spec.Priority, p.Spec.PreemptionPolicy = &n7, &never })
	next := pod(nil)
	require.NoError(t, run(t, cluster(), request(Update, "pods", next, old)))
	require.Equal(t, n7, *next.Spec.Priority)

	require.EqualError(t, run(t, withClasses(class("one", 1, true)), request(Create, "priorityclasses.scheduling.k8s.io", class("two", 2, true), nil)),
		`priorityclasses.scheduling.k8s.io "two" is forbidden: PriorityClass one is already marked as default. Only one default can exist`)
	require.NoError(t, run(t, withClasses(class("one", 1, true)), request(Update, "priorityclasses.scheduling.k8s.io", class("one", 1, true), class("one", 1, true))))
}

func TestTolerationsAndTaints(t *testing.T) {
	p := pod(func(p *corev1.Pod) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}}
	})
	require.NoError(t, run(t, cluster(), request(Create, "pods", p, nil)))
	require.Len(t, p.Spec.Tolerations, 2)
	require.Nil(t, p.Spec.Tolerations[0].TolerationSeconds)
	require.Equal(t, corev1.TaintNodeUnreachable, p.Spec.Tolerations[1].Key)
	require.Equal(t, int64(300), *p.Spec.Tolerations[1].TolerationSeconds)

	everything := pod(func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} })
	require.NoError(t, run(t, cluster(), request(Create, "pods", everything, nil)))
	require.Len(t, everything.Spec.Tolerations, 1)

	node := &corev1.Node{ObjectMeta: named("", "oak")}
	for range 2 {
		require.NoError(t, run(t, cluster(), request(Create, "nodes", node, nil)))
		require.Equal(t, []corev1.Taint{{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoSchedule}}, node.Spec.Taints)
	}
}

func asNode(a *Attributes, node string) *Attributes {
	a.User = auth.User{Name: "system:node:" + node, Groups: []string{auth.NodesGroup}}
	return a
}

func mirror(node string, change func(*corev1.Pod)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		yes := true
		p.Annotations, p.Spec.NodeName = map[string]string{corev1.MirrorPodAnnotationKey: "h"}, node
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node, UID: types.UID(node + "-uid"), Controller: &yes}}
		if change != nil {
			change(p)
		}
	}
}
