const { application, connected } = require("./counter");

connected().then((client) => {
  const port = process.env.PORT || 3000;
  application(client).listen(port, () => console.log(`counting on ${port}`));
});
