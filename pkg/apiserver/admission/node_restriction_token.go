package admission

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// token lets a node ask for tokens bound to its own pods, for the audiences that these pods ask for.
func (p NodeRestriction) token(ctx context.Context, a *Attributes, node string) error {
	req, ok := a.Object.(*authenticationv1.TokenRequest)
	if a.Operation != Create || !ok {
		return a.forbidden("unexpected operation %s", a.Operation)
	}
	ref := req.Spec.BoundObjectRef
	switch {
	case ref == nil, ref.APIVersion != "v1", ref.Kind != "Pod", ref.Name == "":
		return a.forbidden("node requested token not bound to a pod")
	case ref.UID == "":
		return a.forbidden("node requested token with a pod binding without a uid")
	}
	pod, err := p.find(ctx, a, ref.Name)
	switch {
	case err != nil:
		return err
	case pod.UID != ref.UID:
		return a.forbidden("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	case pod.Spec.NodeName != node:
		return a.forbidden("node requested token bound to a pod scheduled on a different node")
	case len(req.Spec.Audiences) > 1:
		return a.forbidden("node may only request 0 or 1 audiences")
	}
	return p.mayAsk(ctx, a, pod, strings.Join(req.Spec.Audiences, ""))
}

// mayAsk lets a node ask for a token for an audience, "" being the API server's: if its pod does, or if the node may anyway.
func (p NodeRestriction) mayAsk(ctx context.Context, a *Attributes, pod *corev1.Pod, audience string) error {
	found, err := p.asksFor(ctx, pod, audience)
	if err != nil {
		return a.forbidden("error validating audience %q: %w", audience, err)
	}
	if found {
		return nil
	}
	if p.authz != nil {
		var d auth.Decision
		d, _, err = p.authz.Authorize(ctx, auth.Request{User: a.User, Verb: "request-serviceaccounts-token-audience", IsResource: true,
			Version: "v1", Namespace: a.Namespace, Resource: audience, Name: a.Name})
		if d == auth.Allow {
			return nil
		}
	}
	if err != nil {
		return a.forbidden("error authorizing %s to request tokens for audience %q: %w", a.User.Name, audience, err)
	}
	return a.forbidden("%s is not authorized to request tokens for audience %q", a.User.Name, audience)
}

// asksFor says whether a volume of the pod holds a token for the audience, or needs one for its driver. What cannot be looked at counts only if
// no other volume asks.
func (p NodeRestriction) asksFor(ctx context.Context, pod *corev1.Pod, audience string) (bool, error) {
	var failed []error
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if holdsToken(v, audience) {
			return true, nil
		}
		asks, err := p.driverAsks(ctx, pod, v, audience)
		if asks {
			return true, nil
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return false, utilerrors.NewAggregate(failed)
}

func holdsToken(v *corev1.Volume, audience string) bool {
	return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
		return s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == audience
	})
}

// driverAsks says whether the volume's CSI driver is given tokens for the audience.
func (p NodeRestriction) driverAsks(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, audience string) (bool, error) {
	name, err := p.driverOf(ctx, pod, v)
	if err != nil || name == "" {
		return false, err
	}
	o, err := p.look(ctx, "csidrivers."+storagev1.GroupName, "csidriver."+storagev1.GroupName, "", name)
	if err != nil {
		return false, err
	}
	driver, ok := o.(*storagev1.CSIDriver)
	return ok && slices.ContainsFunc(driver.Spec.TokenRequests, func(t storagev1.TokenRequest) bool { return t.Audience == audience }), nil
}

// driverOf is the name of the volume's driver, "" if it has none.
func (p NodeRestriction) driverOf(ctx context.Context, pod *corev1.Pod, v *corev1.Volume) (string, error) {
	claim := ""
	switch {
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
		claim = pod.Name + "-" + v.Name
	case v.PersistentVolumeClaim != nil:
		claim = v.PersistentVolumeClaim.ClaimName
	case v.CSI != nil:
		return v.CSI.Driver, nil
	default:
		return migrated(&v.VolumeSource), nil
	}
	o, err := p.look(ctx, "persistentvolumeclaims", "persistentvolumeclaim", pod.Namespace, claim)
	if err != nil {
		return "", err
	}
	c, ok := o.(*corev1.PersistentVolumeClaim)
	if !ok {
		return "", nil
	}
	if o, err = p.look(ctx, "persistentvolumes", "persistentvolume", "", c.Spec.VolumeName); err != nil {
		return "", err
	}
	switch pv, ok := o.(*corev1.PersistentVolume); {
	case !ok:
		return "", nil
	case pv.Spec.CSI != nil:
		return pv.Spec.CSI.Driver, nil
	default:
		return migrated(&pv.Spec.PersistentVolumeSource), nil
	}
}

// look is Get; what is not there is missed in the singular, as in find.
func (p NodeRestriction) look(ctx context.Context, plural, singular, namespace, name string) (resource.Object, error) {
	o, err := p.get.Get(ctx, schema.ParseGroupResource(plural), namespace, name)
	if apierrors.IsNotFound(err) {
		err = apierrors.NewNotFound(schema.ParseGroupResource(singular), name)
	}
	return o, err
}

// formerKinds are the kinds of volumes that were once part of Kubernetes, and the drivers that have taken their place. Each is a field
// of a pod's volumes and of persistent volumes, which are different types.
var formerKinds = []struct{ field, driver string }{
	{"AWSElasticBlockStore", "ebs.csi.aws.com"},
	{"AzureDisk", "disk.csi.azure.com"},
	{"AzureFile", "file.csi.azure.com"},
	{"GCEPersistentDisk", "pd.csi.storage.gke.io"},
	{"Cinder", "cinder.csi.openstack.org"},
	{"PortworxVolume", "pxd.portworx.com"},
	{"VsphereVolume", "csi.vsphere.vmware.com"},
}

// migrated is the driver that mounts a volume of a former kind, "" for all others.
func migrated[T corev1.VolumeSource | corev1.PersistentVolumeSource](source *T) string {
	fields := reflect.ValueOf(source).Elem()
	for _, k := range formerKinds {
		if !fields.FieldByName(k.field).IsNil() {
			return k.driver
		}
	}
	return ""
}
