//! Flags of istioctl that choose a cluster and a way into it. With files they mean nothing; they are taken so that a
//! command line that has them goes on working.

use clap::Args;

/// Taken and not used.
#[derive(Debug, Args)]
pub(super) struct ClusterFlags {
    #[arg(short, long = "istioNamespace", hide = true)]
    istio_namespace: Option<String>,

    #[arg(short = 'c', long, hide = true)]
    kubeconfig: Option<String>,

    #[arg(long, hide = true)]
    context: Option<String>,

    #[arg(long = "as", hide = true)]
    user: Option<String>,

    #[arg(long, hide = true)]
    as_uid: Option<String>,

    #[arg(long, hide = true)]
    as_group: Option<String>,

    #[arg(long, hide = true)]
    kubeclient_timeout: Option<String>,

    #[arg(long, hide = true)]
    vklog: Option<String>,

    #[arg(long, hide = true, value_parser = clap::value_parser!(u16).range(1..))]
    proxy_admin_port: Option<u16>,
}

/// The namespace of a pod, where its dump is given: taken and not used.
#[derive(Debug, Args)]
pub(super) struct PodNamespace {
    #[arg(short, long, hide = true)]
    namespace: Option<String>,
}

/// Which istiod to ask, where its answer is given: taken and not used.
#[derive(Debug, Args)]
pub(super) struct XdsFlags {
    #[arg(short, long, hide = true)]
    revision: Option<String>,

    #[arg(long, hide = true)]
    xds_address: Option<String>,

    #[arg(long, hide = true)]
    xds_label: Option<String>,

    #[arg(long, hide = true)]
    xds_port: Option<u16>,

    #[arg(long, hide = true)]
    cert_dir: Option<String>,

    #[arg(long, hide = true)]
    authority: Option<String>,

    #[arg(long, hide = true)]
    timeout: Option<String>,

    #[arg(long, hide = true)]
    insecure: bool,

    #[arg(long, hide = true)]
    plaintext: bool,
}
