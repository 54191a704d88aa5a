package integration

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// etcd is a client of the server's etcd, as etcdctl is.
func (s *server) etcd() *clientv3.Client {
	s.Helper()
	at := s.options.EtcdServers
	if at == nil {
		at = []string{"unix://" + s.dir + "/etcd.sock"}
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: at})
	require.NoError(s, err)
	s.Cleanup(func() { c.Close() })
	return c
}

// What is in etcd is what a kube-apiserver would have put there: who knows upstream's keys and encoding can read it.
func TestStorage(t *testing.T) {
	s := startServer(t)
	ctx, etcd := t.Context(), s.etcd()
	core := s.client.CoreV1()
	s.serviceAccount("default")
	made := map[string]runtime.Object{}
	keep := func(key string) func(runtime.Object, error) {
		return func(o runtime.Object, err error) {
			require.NoError(t, err)
			made[key] = o
		}
	}
	pod, err := core.Pods("default").Create(ctx, simplePod("p"), metav1.CreateOptions{})
	keep("/registry/pods/default/p")(pod, err)
	node, err := core.Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{})
	keep("/registry/minions/n1")(node, err)
	service, err := core.Services("default").Create(ctx, aService("web"), metav1.CreateOptions{})
	keep("/registry/services/specs/default/web")(service, err)
	endpoints, err := core.Endpoints("default").Create(ctx, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{})
	keep("/registry/services/endpoints/default/web")(endpoints, err)
	slice, err := s.client.DiscoveryV1().EndpointSlices("default").Create(ctx,
		&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "web-1"}, AddressType: discoveryv1.AddressTypeIPv4}, metav1.CreateOptions{})
	keep("/registry/endpointslices/default/web-1")(slice, err)
	event, err := core.Events("default").Create(ctx, &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "p"}}, metav1.CreateOptions{})
	keep("/registry/events/default/e")(event, err)
	account, err := core.ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
	keep("/registry/serviceaccounts/default/default")(account, err)

	// The types of k8s.io/api and apimachinery's serializer, nothing else.
	upstream := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	for key, want := range made {
		got, err := etcd.Get(ctx, key)
		require.NoError(t, err)
		require.Len(t, got.Kvs, 1, key)
		kv := got.Kvs[0]
		obj, gvk, err := upstream.Decode(kv.Value, nil, nil)
		require.NoError(t, err, key)
		require.NotEmpty(t, gvk.Kind)
		require.Empty(t, obj.(metav1.Object).GetResourceVersion(), "the version is etcd's revision, not part of the value")
		obj.(metav1.Object).SetResourceVersion(strconv.FormatInt(kv.ModRevision, 10))
		obj.GetObjectKind().SetGroupVersionKind(want.GetObjectKind().GroupVersionKind())
		require.Empty(t, cmp.Diff(want, obj), key)
		if strings.Contains(key, "/events/") {
			left, err := etcd.TimeToLive(ctx, clientv3.LeaseID(kv.Lease))
			require.NoError(t, err)
			require.InDelta(t, 3600, left.GrantedTTL, 120)
		} else {
			require.Zero(t, kv.Lease, key)
		}
	}
}

// Definitions and API services are JSON, the first in the version that kube-apiserver keeps; what an older release of this server has
// kept in protobuf goes on being served.
func TestStorageInJSON(t *testing.T) {
	s := startServer(t)
	ctx, etcd := t.Context(), s.etcd()
	s.define(definition(t, "crontab"))
	read := func(key string, into any) {
		got, err := etcd.Get(ctx, key)
		require.NoError(t, err)
		require.Len(t, got.Kvs, 1, key)
		require.NoError(t, json.Unmarshal(got.Kvs[0].Value, into), key)
	}
	var service apiregistrationv1.APIService
	read("/registry/apiregistration.k8s.io/apiservices/v1.apps", &service)
	require.Equal(t, "apiregistration.k8s.io/v1 APIService v1.apps", service.APIVersion+" "+service.Kind+" "+service.Name)

	const key = "/registry/apiextensions.k8s.io/customresourcedefinitions/crontabs.stable.example.com"
	var kept apiextensionsv1beta1.CustomResourceDefinition
	read(key, &kept)
	require.Equal(t, "apiextensions.k8s.io/v1beta1 CustomResourceDefinition", kept.APIVersion+" "+kept.Kind)
	require.Empty(t, kept.ResourceVersion)

	served, err := s.dynamic.Resource(definitions).Get(ctx, kept.Name, metav1.GetOptions{})
	require.NoError(t, err)
	var d apiextensionsv1.CustomResourceDefinition
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(served.Object, &d))
	d.ResourceVersion = ""
	old := runtime.NewScheme()
	require.NoError(t, apiextensionsv1.AddToScheme(old))
	var b strings.Builder
	require.NoError(t, protobuf.NewSerializer(old, old).Encode(&d, &b))
	_, err = etcd.Put(ctx, key, b.String())
	require.NoError(t, err)
	again, err := s.dynamic.Resource(definitions).Get(ctx, kept.Name, metav1.GetOptions{})
	require.NoError(t, err)
	require.NotEqual(t, served.GetResourceVersion(), again.GetResourceVersion())
	again.SetResourceVersion(served.GetResourceVersion())
	require.Equal(t, served, again)
}

// What another process writes there, as kube-apiserver or etcdctl do, is served and watched like our own.
func TestWrittenByOthers(t *testing.T) {
	s := startServer(t)
	ctx, etcd := t.Context(), s.etcd()
	maps := s.client.CoreV1().ConfigMaps("default")
	list, err := maps.List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion, LabelSelector: "by=others"})
	require.NoError(t, err)
	defer w.Stop()
	m := configMap("foreign", map[string]string{"by": "others"})
	m.Namespace, m.Data = "default", map[string]string{"k": "v"}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	var b strings.Builder
	require.NoError(t, protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(m, &b))
	put, err := etcd.Put(ctx, "/registry/configmaps/default/foreign", b.String())
	require.NoError(t, err)
	got, err := maps.Get(ctx, "foreign", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, m.Data, got.Data)
	require.Equal(t, strconv.FormatInt(put.Header.Revision, 10), got.ResourceVersion)
	require.Equal(t, got, (<-w.ResultChan()).Object)
}
