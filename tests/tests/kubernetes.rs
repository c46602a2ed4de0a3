//! The manifests of `deploy/kubernetes`: Kubernetes' own types read them, a field that these do not know is refused, and a pod has the
//! rights that docs/kubernetes.md says, and no others. No cluster is asked.

use std::collections::BTreeSet;
use std::path::PathBuf;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Namespace, PodSpec, PodTemplateSpec};
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes")
}

/// Reads a manifest; the words name what is wrong with it.
fn typed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    // By way of JSON, which is what a cluster is sent.
    let value: serde_json::Value =
        serde_saphyr::from_str(text).map_err(|error| format!("no YAML: {error}"))?;
    let mut unknown = Vec::new();
    let typed = serde_ignored::deserialize(value, |path| unknown.push(path.to_string()))
        .map_err(|error| error.to_string())?;
    if unknown.is_empty() {
        Ok(typed)
    } else {
        Err(format!("unknown fields: {}", unknown.join(", ")))
    }
}

fn manifest<T: DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(folder().join(name)).expect(name);
    typed(&text).unwrap_or_else(|words| panic!("{name}: {words}"))
}

/// The fields that this repository uses; kustomize has no types that could be asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kustomization {
    api_version: String,
    kind: String,
    namespace: String,
    resources: Vec<String>,
    images: Vec<Image>,
    config_map_generator: Vec<Settings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Image {
    name: String,
    new_name: String,
    new_tag: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    literals: Vec<String>,
}

fn kustomization() -> Kustomization {
    manifest("kustomization.yaml")
}

/// The pod of a manifest, and what scrapes it.
fn pod(name: &str, template: PodTemplateSpec) -> PodSpec {
    let about = template.metadata.expect("metadata");
    let annotations = about.annotations.expect("annotations");
    let spec = template.spec.expect("a pod");
    let container = &spec.containers[0];
    let ports = container.ports.as_ref().expect("ports");
    let metrics = ports
        .iter()
        .find(|port| port.name.as_deref() == Some("metrics"));
    let port = metrics.expect("a port of metrics").container_port;
    assert_eq!(
        annotations["prometheus.io/port"],
        port.to_string(),
        "{name}"
    );
    assert_eq!(annotations["prometheus.io/path"], "/metrics", "{name}");
    let args = container.args.as_ref().expect("args");
    assert!(args.contains(&format!("$(NODE_IP):{port}")), "{name}");
    spec
}

fn pods() -> [(&'static str, PodSpec); 2] {
    let tcpcopy: DaemonSet = manifest("tcpcopy.yaml");
    let intercept: Deployment = manifest("intercept.yaml");
    let template = intercept.spec.expect("a spec").template;
    [
        (
            "tcpcopy",
            pod("tcpcopy", tcpcopy.spec.expect("a spec").template),
        ),
        ("intercept", pod("intercept", template)),
    ]
}

#[test]
fn a_field_that_kubernetes_does_not_know_is_refused() {
    let text = std::fs::read_to_string(folder().join("tcpcopy.yaml")).unwrap();
    assert!(typed::<DaemonSet>(&text).is_ok());
    let wrong = text.replace("hostNetwork:", "hostNetworks:");
    let words = typed::<DaemonSet>(&wrong).expect_err("a field that is none");
    assert!(words.contains("hostNetworks"), "{words}");
    let wrong = text.replace("runAsUser: 0", "runAsUser: root");
    assert!(typed::<DaemonSet>(&wrong).is_err());
}

#[test]
fn what_is_named_is_there() {
    let all = kustomization();
    assert_eq!(
        (all.api_version.as_str(), all.kind.as_str()),
        ("kustomize.config.k8s.io/v1beta1", "Kustomization")
    );
    let _: Namespace = manifest("namespace.yaml");
    for name in &all.resources {
        assert!(folder().join(name).is_file(), "{name}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        all.images
            .iter()
            .all(|image| image.new_tag == version && !image.new_name.is_empty())
    );
    assert_eq!(all.namespace, "tcpcopy");
    for (name, pod) in pods() {
        let container = &pod.containers[0];
        let image = container.image.as_deref();
        assert!(
            all.images.iter().any(|it| Some(it.name.as_str()) == image),
            "{name}"
        );
        let map = &container.env_from.as_ref().expect("settings")[0];
        let settings = map.config_map_ref.as_ref().map(|it| it.name.as_str());
        let settings = all
            .config_map_generator
            .iter()
            .find(|it| Some(it.name.as_str()) == settings);
        let mut known: Vec<&str> = settings
            .expect("settings")
            .literals
            .iter()
            .filter_map(|it| Some(it.split_once('=')?.0))
            .collect();
        known.push("NODE_IP");
        for arg in container
            .args
            .iter()
            .flatten()
            .filter(|arg| arg.contains("$("))
        {
            assert!(
                known.iter().any(|it| arg.contains(&format!("$({it})"))),
                "{name}: {arg}"
            );
        }
    }
}

#[test]
fn a_pod_has_the_rights_that_it_needs_and_no_others() {
    for (name, pod) in pods() {
        assert!(
            pod.node_selector.is_some_and(|it| it.len() == 1),
            "{name} would run on every node"
        );
        assert_eq!(pod.automount_service_account_token, Some(false), "{name}");
        let security = pod.containers[0]
            .security_context
            .as_ref()
            .expect("a security context");
        assert_eq!(security.privileged, Some(false), "{name}");
        assert_eq!(security.allow_privilege_escalation, Some(false), "{name}");
        assert_eq!(security.read_only_root_filesystem, Some(true), "{name}");
        let capabilities = security.capabilities.as_ref().expect("capabilities");
        assert_eq!(
            capabilities.drop.as_deref(),
            Some(["ALL".to_owned()].as_slice()),
            "{name}"
        );
        let added: BTreeSet<&str> = capabilities
            .add
            .iter()
            .flatten()
            .map(String::as_str)
            .collect();
        assert_eq!(
            added,
            BTreeSet::from(["BPF", "IPC_LOCK", "NET_ADMIN", "NET_RAW", "PERFMON"]),
            "{name}"
        );
    }
}

#[test]
fn probes_ask_what_the_programs_answer() {
    for (name, pod) in pods() {
        let container = &pod.containers[0];
        let asked = [
            (&container.startup_probe, "/health"),
            (&container.readiness_probe, "/ready"),
            (&container.liveness_probe, "/health"),
        ];
        for (probe, path) in asked {
            let asks = probe
                .as_ref()
                .and_then(|probe| probe.http_get.as_ref())
                .expect("a probe");
            assert_eq!(asks.path.as_deref(), Some(path), "{name}");
        }
    }
}
