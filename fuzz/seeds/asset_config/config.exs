import Config

config :esbuild,
  version: "0.25.0",
  app: [args: ~w(js/app.js --bundle), cd: Path.expand("../assets", __DIR__)]

config :tailwind, version: "3.4.3", target: "linux-x64-musl", app: [version: "4.1.0", args: ["x"]]
# config :dart_sass, version: "1.0.0"
config :dart_sass, version: System.get_env("SASS")
